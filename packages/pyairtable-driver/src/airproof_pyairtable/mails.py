"""The mails of a cell that wait to be sent, as an operator may touch them."""

from __future__ import annotations

from airproof.platform.driver import Tenant
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.manifest import NOTIFICATIONS, database_of, node_of

_CLAIMERS = "SELECT claimed_by FROM mails WHERE tenant_id = %(tenant)s AND status = 'queued'"
_TRIES = "SELECT attempts FROM mails WHERE tenant_id = %(tenant)s AND status = 'queued'"
_DUE = "UPDATE mails SET next_attempt_at = now() WHERE tenant_id = %(tenant)s AND status = 'queued'"
_OFTEN = """
UPDATE mails SET attempts = %(times)s, next_attempt_at = now() WHERE tenant_id = %(tenant)s AND status = 'queued'
"""
_WAITS = """
SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float AS wait FROM mails
WHERE tenant_id = %(tenant)s AND status = 'queued' AND (claimed_by IS NULL) = %(free)s
"""


class Mails:
    """The mails of one cell; see `airproof.platform.driver.MailAccess`."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def claimers(self, tenant: Tenant) -> list[str]:
        """The node of the instance that has it in hand, for each of the tenant's mails that wait."""
        rows = self._databases.all(database_of(NOTIFICATIONS), _CLAIMERS, {"tenant": tenant.id})
        return [node_of(row["claimed_by"]) if row["claimed_by"] else "" for row in rows]

    def waits(self, tenant: Tenant) -> list[float]:
        """When those that are not claimed are due."""
        return self._due(tenant, free=True)

    def held_for(self, tenant: Tenant) -> list[float]:
        """When the claims of those that are claimed end."""
        return self._due(tenant, free=False)

    def tries(self, tenant: Tenant) -> list[int]:
        """How often they have been tried."""
        rows = self._databases.all(database_of(NOTIFICATIONS), _TRIES, {"tenant": tenant.id})
        return [row["attempts"] for row in rows]

    def tried_often(self, tenant: Tenant, times: int) -> None:
        """Sets how often they have been tried."""
        with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
            connection.execute(_OFTEN, {"tenant": tenant.id, "times": times})

    def make_due(self, tenant: Tenant) -> None:
        """Ends the wait, and the claims, of the tenant's mails."""
        with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
            connection.execute(_DUE, {"tenant": tenant.id})

    def _due(self, tenant: Tenant, *, free: bool) -> list[float]:
        rows = self._databases.all(database_of(NOTIFICATIONS), _WAITS, {"tenant": tenant.id, "free": free})
        return [row["wait"] for row in rows]
