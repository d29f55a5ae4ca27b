"""The event store: append-only streams per aggregate, with expected versions, announced through the outbox.

The version is checked twice: against the stream as this transaction sees it (no gaps; a new one can have none), and
by the unique constraint on aggregate and version (no race between check and insert).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from pyairtable_reference.kit.envelope import Event, Metadata
from pyairtable_reference.kit.schema import domain_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from pyairtable_reference.kit.outbox import Outbox

NEW = 0

_APPEND = insert(domain_events)
_VERSION = select(func.coalesce(func.max(domain_events.c.version), NEW)).where(
    domain_events.c.aggregate_id == bindparam("stream")
)
_FIND = select(domain_events.c.causation_id, domain_events.c.payload).where(
    domain_events.c.aggregate_id == bindparam("stream"), domain_events.c.version == bindparam("version")
)
_CAUSED = (
    select(domain_events.c.version)
    .where(
        domain_events.c.aggregate_id == bindparam("stream"),
        domain_events.c.causation_id == bindparam("cause"),
        domain_events.c.version <= bindparam("version"),
    )
    .limit(1)
)


class VersionConflict(Exception):
    """Somebody else has appended to the stream: read it again and decide again."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is done: whose tenant, which conversation, which message, at which service."""

    tenant_id: str
    correlation_id: str
    causation_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Fact:
    """An event before it is stored: its type and what it says."""

    type: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stored event says, and which message or request caused it."""

    causation_id: str
    payload: dict[str, Any]


class EventStore:
    """The streams, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox

    async def version(self, aggregate_id: str) -> int:
        """The version of the stream's last event, 0 if there is none."""
        return int((await self._connection.execute(_VERSION, {"stream": aggregate_id})).scalar_one())

    async def find(self, aggregate_id: str, version: int) -> Stored | None:
        """The event at that place of the stream."""
        row = (await self._connection.execute(_FIND, {"stream": aggregate_id, "version": version})).one_or_none()
        return Stored(*row) if row else None

    async def knows(self, aggregate_id: str, causation_id: str, *, up_to: int) -> bool:
        """Whether one of the stream's events up to that version has that cause."""
        sought = {"stream": aggregate_id, "cause": causation_id, "version": up_to}
        return (await self._connection.execute(_CAUSED, sought)).first() is not None

    async def append(
        self, cause: Cause, aggregate_type: str, aggregate_id: str, facts: Sequence[Fact], *, expected_version: int
    ) -> list[Event]:
        """Appends events and announces them, all or none.

        Raises:
            VersionConflict: the stream is not at the expected version; the transaction cannot go on.
        """
        actual = NEW if expected_version == NEW else await self.version(aggregate_id)
        if actual != expected_version:
            raise VersionConflict(f"{aggregate_type} {aggregate_id} is at version {actual}, not {expected_version}")
        events = [
            Event(
                event_id=uuid4(),
                event_type=fact.type,
                aggregate_id=aggregate_id,
                aggregate_type=aggregate_type,
                version=expected_version + offset,
                timestamp=datetime.now(UTC),
                tenant_id=cause.tenant_id,
                payload=fact.payload,
                metadata=Metadata(
                    correlation_id=cause.correlation_id, causation_id=cause.causation_id, source=cause.source
                ),
            )
            for offset, fact in enumerate(facts, start=1)
        ]
        try:
            await self._connection.execute(_APPEND, [_row(event) for event in events])
        except IntegrityError as race:
            raise VersionConflict(f"{aggregate_type} {aggregate_id} moved past {expected_version}") from race
        for event in events:
            self._outbox.add(event.message())
        return events


def _row(event: Event) -> dict[str, Any]:
    body = event.payload_json()
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "aggregate_id": event.aggregate_id,
        "aggregate_type": event.aggregate_type,
        "version": event.version,
        "tenant_id": event.tenant_id,
        "occurred_at": event.timestamp,
        "payload": event.payload,
        "metadata": body["metadata"],
        "correlation_id": event.metadata.correlation_id,
        "causation_id": event.metadata.causation_id,
    }
