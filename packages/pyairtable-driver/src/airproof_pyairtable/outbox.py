"""The outboxes of a cell, as an operator may touch them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle

from airproof.platform.driver import Tenant
from airproof.platform.observation import OutboxRow
from airproof_pyairtable.databases import APPLICATION, Databases
from airproof_pyairtable.http import Http
from airproof_pyairtable.kept import kept_as_another
from airproof_pyairtable.manifest import REGISTRATION
from airproof_pyairtable.places import EVENT_TOPICS, database_of
from airproof_pyairtable.readouts import read_held_back
from airproof_pyairtable.versions import sent_as_another

_POSTPONE = """
UPDATE event_outbox SET status = 'pending', attempts = 1, next_attempt_at = 'infinity'
WHERE id = ANY (%(ids)s::uuid[])
"""
_DUE = "UPDATE event_outbox SET next_attempt_at = now() WHERE id = ANY (%(ids)s::uuid[])"
_END_CLAIMS = """
UPDATE event_outbox SET claimed_until = now() + %(in_s)s * interval '1 second'
WHERE tenant_id = %(tenant)s AND status = 'pending' AND claimed_by IS NOT NULL
"""
_CLAIM = """
UPDATE event_outbox AS one SET claimed_by = other.claimed_by, claimed_until = now() + %(in_s)s * interval '1 second'
FROM event_outbox AS other
WHERE one.id = %(id)s AND other.tenant_id = %(tenant)s AND other.status = 'pending' AND other.claimed_by IS NOT NULL
"""
_UNSENDABLE = "UPDATE event_outbox SET headers = headers || '{\"causation-id\": null}' WHERE id = %(id)s"
_CLAIMED = """
SELECT coalesce(extract(epoch FROM max(claimed_until) - now()), 0)::float AS for_s FROM event_outbox
WHERE tenant_id = %(tenant)s AND status = 'pending' AND claimed_by IS NOT NULL
  AND coalesce(id = %(id)s::uuid, true)
"""
_KEY = "SELECT key FROM event_outbox WHERE id = %(id)s"
EVENT_TYPE = "airproof.sent"
TOPIC, NO_TOPIC = EVENT_TOPICS[REGISTRATION.started], "pyairtable.nowhere-{id}.events"
OTHER_TOPIC = EVENT_TOPICS[REGISTRATION.steps[0].event]
_INSERT = """
INSERT INTO event_outbox (id, tenant_id, kind, topic, key, type, headers, payload)
VALUES (%(id)s, %(tenant)s, %(kind)s, %(topic)s, %(key)s, %(type)s, %(headers)s, %(payload)s)
"""


class Outboxes:
    """The outboxes of one cell; see `airproof.platform.messaging.OutboxAccess`."""

    def __init__(self, databases: Databases, http: Http) -> None:
        self._databases = databases
        self._http = http

    def held_back(self, service: str, tenant: Tenant) -> tuple[OutboxRow, ...]:
        """The tenant's messages that the service has not published."""
        return read_held_back(self._databases, service, database_of(service), tenant.id)

    def retry(self, service: str, message_id: str) -> None:
        """Asks the service to send a parked message once more."""
        self._http.retry_outbox(service, message_id)

    def put_stream(
        self, service: str, tenant: Tenant, sizes: Sequence[int], *, routable: bool = True
    ) -> tuple[str, ...]:
        """Puts events of one new aggregate into the service's outbox."""
        rows = _stream(tenant, sizes)
        with self._databases.transaction(database_of(service)) as connection:
            for row in rows:
                connection.execute(_INSERT, row if routable else {**row, "topic": NO_TOPIC.format_map(row)})
        return tuple(row["id"] for row in rows)

    def put_stream_in_turn(self, service: str, tenant: Tenant, sizes: Sequence[int]) -> tuple[str, ...]:
        """Puts events of one new aggregate in, over two connections, two events at a time."""
        database, rows = database_of(service), _stream(tenant, sizes)
        with self._databases.connect(database) as one, self._databases.connect(database) as other:
            for first, connection in zip(range(0, len(rows), 2), cycle((one, other)), strict=False):
                for row in rows[first : first + 2]:
                    connection.execute(_INSERT, row)
                connection.commit()
        return tuple(row["id"] for row in rows)

    def put_unsendable(self, service: str, tenant: Tenant) -> tuple[str, str]:
        """Puts two events of one new aggregate in; one of the first's headers has no value."""
        aggregate, first, second = (str(uuid.uuid4()) for _ in range(3))
        with self._databases.transaction(database_of(service)) as connection:
            connection.execute(_INSERT, _event(first, tenant.id, aggregate, 1, ""))
            connection.execute(_INSERT, {**_event(second, tenant.id, aggregate, 2, ""), "kind": "of_tomorrow"})
            connection.execute(_UNSENDABLE, {"id": first})
        return first, second

    def claimed_for_s(self, service: str, tenant: Tenant, message_id: str | None = None) -> float:
        """When the last of the claims on the tenant's messages ends."""
        row = self._databases.one(database_of(service), _CLAIMED, {"tenant": tenant.id, "id": message_id}) or {}
        return float(row["for_s"])

    def put_claimed(self, service: str, tenant: Tenant, for_s: float) -> str:
        """Puts an event in, with the claimer of the tenant's others."""
        id_ = str(uuid.uuid4())
        with self._databases.transaction(database_of(service)) as connection:
            connection.execute(_INSERT, _event(id_, tenant.id, id_, 1, ""))
            connection.execute(_CLAIM, {"id": id_, "tenant": tenant.id, "in_s": for_s})
        return id_

    def end_claims(self, service: str, tenant: Tenant, in_s: float) -> int:
        """Sets the end of the claims on the tenant's messages."""
        with self._databases.transaction(database_of(service)) as connection:
            return connection.execute(_END_CLAIMS, {"tenant": tenant.id, "in_s": in_s}).rowcount

    @contextmanager
    def late_commit(self, service: str, tenant: Tenant) -> Iterator[str]:
        """Holds a transaction open that has taken its place in the outbox, as another instance of the service might."""
        id_ = str(uuid.uuid4())
        with self._databases.transaction(database_of(service)) as connection:
            connection.execute(_INSERT, _event(id_, tenant.id, id_, 1, ""))
            yield id_

    @contextmanager
    def postponed(self, service: str, tenant: Tenant, count: int = 1) -> Iterator[tuple[str, ...]]:
        """Puts messages in that are to be tried again, and makes them due when the context ends."""
        ids = tuple(str(uuid.uuid4()) for _ in range(count))
        with self._not_due(service, ids, [_event(id_, tenant.id, id_, 1, "") for id_ in ids]):
            yield ids

    def put_beside(self, service: str, tenant: Tenant, message_id: str) -> tuple[str, ...]:
        """Puts in an event of the same aggregate to another topic, and one of another aggregate to the same topic."""
        database, same, other = database_of(service), str(uuid.uuid4()), str(uuid.uuid4())
        key = str((self._databases.one(database, _KEY, {"id": message_id}) or {})["key"])
        with self._databases.transaction(database) as connection:
            connection.execute(_INSERT, _event(same, tenant.id, key, 2, "", OTHER_TOPIC))
            connection.execute(_INSERT, _event(other, tenant.id, other, 1, ""))
        return same, other

    @contextmanager
    def put_off(self, service: str, row: OutboxRow) -> Iterator[OutboxRow]:
        """Has a message be tried again, and makes it due when the context ends."""
        with self._not_due(service, [row.message_id]):
            yield replace(row, status="pending", attempts=1)

    @contextmanager
    def sent_as_another(self, tenant: Tenant, *, newer: bool) -> Iterator[None]:
        """Puts triggers on the tables of outboxes and events, of sagas and mails."""
        with (
            kept_as_another(self._databases, tenant.id, newer=newer),
            sent_as_another(self._databases, tenant.id, newer=newer),
        ):
            yield

    @contextmanager
    def _not_due(self, service: str, ids: Sequence[str], new: Sequence[dict[str, str]] = ()) -> Iterator[None]:
        with self._databases.transaction(database_of(service)) as connection:
            for row in new:
                connection.execute(_INSERT, row)
            connection.execute(_POSTPONE, {"ids": list(ids)})
        try:
            yield
        finally:
            with self._databases.transaction(database_of(service)) as connection:
                connection.execute(_DUE, {"ids": list(ids)})


def _stream(tenant: Tenant, sizes: Sequence[int]) -> list[dict[str, str]]:
    """Events of one new aggregate, as rows of an outbox."""
    aggregate = str(uuid.uuid4())
    return [_event(str(uuid.uuid4()), tenant.id, aggregate, at, "x" * size) for at, size in enumerate(sizes, 1)]


def _event(id_: str, tenant_id: str, aggregate: str, version: int, filling: str, topic: str = TOPIC) -> dict[str, str]:
    """An event of an aggregate that no service knows, as a row of an outbox."""
    metadata = {"correlation_id": id_, "causation_id": id_, "source": APPLICATION}
    payload = {
        "event_id": id_,
        "event_type": EVENT_TYPE,
        "aggregate_id": aggregate,
        "aggregate_type": topic.split(".")[1],
        "version": version,
        "timestamp": datetime.now(UTC).isoformat(),
        "tenant_id": tenant_id,
        "payload": {"filling": filling},
        "metadata": metadata,
    }
    headers = {
        "message-id": id_,
        "kind": "event",
        "type": EVENT_TYPE,
        "tenant-id": tenant_id,
        "correlation-id": id_,
        "causation-id": id_,
        "source": APPLICATION,
    }
    texts = {"headers": json.dumps(headers), "payload": json.dumps(payload)}
    return {
        "id": id_,
        "tenant": tenant_id,
        "topic": topic,
        "key": aggregate,
        "type": EVENT_TYPE,
        "kind": "event",
        **texts,
    }
