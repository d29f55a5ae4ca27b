"""The outboxes of a cell, as an operator may touch them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from airproof.platform.driver import Tenant
from airproof.platform.observation import OutboxRow
from airproof_pyairtable.databases import APPLICATION, Databases
from airproof_pyairtable.http import Http
from airproof_pyairtable.manifest import database_of
from airproof_pyairtable.readouts import read_held_back

_INSERT = """
INSERT INTO event_outbox (id, tenant_id, kind, topic, key, type, headers, payload)
VALUES (%(id)s::uuid, %(tenant)s, 'event', 'pyairtable.registration.events', %(id)s::text, 'airproof.late', %(headers)s,
        %(payload)s)
"""


class Outboxes:
    """The outboxes of one cell; see `airproof.platform.driver.OutboxAccess`."""

    def __init__(self, databases: Databases, http: Http) -> None:
        self._databases = databases
        self._http = http

    def held_back(self, service: str, tenant: Tenant) -> tuple[OutboxRow, ...]:
        """The tenant's messages that the service has not published."""
        return read_held_back(self._databases, service, database_of(service), tenant.id)

    def retry(self, service: str, message_id: str) -> None:
        """Asks the service to send a parked message once more."""
        self._http.retry_outbox(service, message_id)

    @contextmanager
    def late_commit(self, service: str, tenant: Tenant) -> Iterator[str]:
        """Holds a transaction open that has taken its place in the outbox, as another instance of the service might."""
        id_ = str(uuid.uuid4())
        with self._databases.transaction(database_of(service)) as connection:
            connection.execute(_INSERT, _late_event(id_, tenant.id))
            yield id_


def _late_event(id_: str, tenant_id: str) -> dict[str, str]:
    metadata = {"correlation_id": id_, "causation_id": id_, "source": APPLICATION}
    payload = {
        "event_id": id_,
        "event_type": "airproof.late",
        "aggregate_id": id_,
        "aggregate_type": "registration",
        "version": 1,
        "timestamp": datetime.now(UTC).isoformat(),
        "tenant_id": tenant_id,
        "payload": {},
        "metadata": metadata,
    }
    headers = {
        "message-id": id_,
        "kind": "event",
        "type": "airproof.late",
        "tenant-id": tenant_id,
        "correlation-id": id_,
        "causation-id": id_,
        "source": APPLICATION,
    }
    return {"id": id_, "tenant": tenant_id, "headers": json.dumps(headers), "payload": json.dumps(payload)}
