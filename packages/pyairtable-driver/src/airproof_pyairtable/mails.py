"""The mails of a cell that wait to be sent, as an operator may touch them."""

from __future__ import annotations

from airproof.platform.driver import Tenant
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.manifest import NOTIFICATIONS, database_of, node_of

_CLAIMERS = "SELECT claimed_by FROM mails WHERE tenant_id = %(tenant)s AND status = 'queued'"
_DUE = "UPDATE mails SET next_attempt_at = now() WHERE tenant_id = %(tenant)s AND status = 'queued'"


class Mails:
    """The mails of one cell; see `airproof.platform.driver.MailAccess`."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def claimers(self, tenant: Tenant) -> list[str]:
        """The node of the instance that has it in hand, for each of the tenant's mails that wait."""
        rows = self._databases.all(database_of(NOTIFICATIONS), _CLAIMERS, {"tenant": tenant.id})
        return [node_of(row["claimed_by"]) if row["claimed_by"] else "" for row in rows]

    def make_due(self, tenant: Tenant) -> None:
        """Ends the wait, and the claims, of the tenant's mails."""
        with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
            connection.execute(_DUE, {"tenant": tenant.id})
