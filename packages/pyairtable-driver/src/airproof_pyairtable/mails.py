"""The mails of a cell that wait to be sent, as an operator may touch them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from airproof.platform.driver import Tenant
from airproof.waiting import wait_until
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.manifest import NOTIFICATIONS, REGISTRATION
from airproof_pyairtable.places import database_of, node_of

_CLAIMERS = "SELECT claimed_by FROM mails WHERE tenant_id = %(tenant)s AND status = 'queued'"
_TRIES = "SELECT attempts FROM mails WHERE tenant_id = %(tenant)s AND status = 'queued'"
_DUE = "UPDATE mails SET next_attempt_at = now() WHERE tenant_id = %(tenant)s AND status = 'queued'"
_OFTEN = """
UPDATE mails SET attempts = %(times)s, next_attempt_at = now()
WHERE tenant_id = %(tenant)s AND status = 'queued' AND claimed_by IS NULL
"""
_WAITS = """
SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float AS wait FROM mails
WHERE tenant_id = %(tenant)s AND status = 'queued' AND (claimed_by IS NULL) = %(free)s
"""

_LEAVE = """
INSERT INTO mails (id, tenant_id, saga_id, recipient, template, message_id, command, next_attempt_at)
VALUES (%(id)s, %(tenant)s, %(saga)s, %(recipient)s, 'welcome', %(message)s, %(command)s, now() - interval '1 day')
"""
IN_HAND_S = 30.0
_REMOVE = "DELETE FROM mails WHERE tenant_id = %(tenant)s"


class Mails:
    """The mails of one cell; see `airproof.platform.messaging.MailAccess`."""

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
        """Sets how often they have been tried, when nobody has them in hand, who would remember it otherwise."""

        def set_all() -> bool:
            with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
                return connection.execute(_OFTEN, {"tenant": tenant.id, "times": times}).rowcount > 0

        wait_until(set_all, timeout_s=IN_HAND_S, describe="a mail that nobody has in hand")

    @contextmanager
    def left(self, tenant: Tenant, count: int, *, known: bool) -> Iterator[None]:
        """Puts rows in, with commands of no saga there is, or with such as the service does not know."""
        try:
            with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
                for _ in range(count):
                    connection.execute(_LEAVE, _mail(tenant.id, known=known))
            yield
        finally:
            with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
                connection.execute(_REMOVE, {"tenant": tenant.id})

    def make_due(self, tenant: Tenant) -> None:
        """Ends the wait, and the claims, of the tenant's mails."""
        with self._databases.transaction(database_of(NOTIFICATIONS)) as connection:
            connection.execute(_DUE, {"tenant": tenant.id})

    def _due(self, tenant: Tenant, *, free: bool) -> list[float]:
        rows = self._databases.all(database_of(NOTIFICATIONS), _WAITS, {"tenant": tenant.id, "free": free})
        return [row["wait"] for row in rows]


def _mail(tenant_id: str, *, known: bool) -> dict[str, str]:
    id_, saga = str(uuid.uuid4()), str(uuid.uuid4())
    recipient = f"{id_}@{tenant_id}.example"
    command = {
        "message_id": id_,
        "saga_id": saga,
        "saga_type": REGISTRATION.name,
        "step": REGISTRATION.sends_mail_in,
        "action": "execute",
        "tenant_id": tenant_id,
        "correlation_id": id_,
        "timestamp": datetime.now(UTC).isoformat(),
        "payload": {"user_id": id_, "recipient": recipient, "first_name": "Somebody"},
    }
    told = json.dumps(command if known else {})
    return {
        "id": id_,
        "tenant": tenant_id,
        "saga": saga,
        "recipient": recipient,
        "message": f"<{id_}@{tenant_id}>",
        "command": told,
    }
