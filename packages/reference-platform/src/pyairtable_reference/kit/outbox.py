"""The transactional outbox: messages are written in the transaction of the work that causes them.

`Outbox` is the writing side. `OutboxQueue` is what the relay needs of the table: claims, acknowledgements, parking.

A claim is a lease in the row, taken in a transaction of its own that ends before anything is sent, so a broker that
hangs pins no lock. Only the oldest pending row of a topic and key can be claimed; the next one follows when it is
published or parked. That keeps the order per key with any number of relays. Rows are found by state, never by
"position greater than the last": a transaction that commits late is not overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import and_, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.kit.envelope import DEAD_LETTERS, Kind, Message
from pyairtable_reference.kit.schema import FAILED, PENDING, PUBLISHED, event_outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_again = {"status": PENDING, "attempts": 0, "next_attempt_at": func.now(), "claimed_by": None, "claimed_until": None}


class Outbox:
    """Writes messages in the caller's transaction.

    Attributes:
        written: whether anything is to be sent once the transaction commits.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.written = False

    async def add(self, message: Message) -> None:
        """Puts a message in. One that is there already and was published is sent once more, with the same id.

        A row that still waits is left as it is, and so is a parked one: that is for an operator to retry.
        """
        statement = insert(event_outbox).values(
            id=message.id,
            kind=message.kind.value,
            topic=message.topic,
            key=message.key,
            type=message.type,
            tenant_id=message.tenant_id,
            headers=message.headers,
            payload=message.payload,
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[event_outbox.c.id], set_=_again, where=event_outbox.c.status == PUBLISHED
            )
        )
        self.written = True

    async def retry(self, message_id: UUID) -> bool:
        """Queues a parked message again, unchanged; returns whether there is one."""
        parked = and_(event_outbox.c.id == message_id, event_outbox.c.status == FAILED)
        found = await self._connection.execute(update(event_outbox).where(parked).values(**_again))
        self.written = True
        return found.rowcount == 1


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message this process may send now, and how often the broker has refused it so far."""

    message: Message
    attempts: int


class OutboxQueue:
    """The outbox as the relay of one process sees it. Every call is a transaction of its own."""

    def __init__(self, engine: AsyncEngine, owner: str) -> None:
        self._engine = engine
        self._owner = owner

    async def recover(self) -> None:
        """Frees what an earlier run of this very process had claimed."""
        mine = and_(event_outbox.c.status == PENDING, event_outbox.c.claimed_by == self._owner)
        await self._execute(update(event_outbox).where(mine).values(claimed_by=None, claimed_until=None))

    async def claim(self, limit: int, lease_s: float) -> list[Claimed]:
        """Takes up to `limit` messages that are due, oldest first, and only the oldest of each topic and key."""
        row, older = event_outbox.alias("row"), event_outbox.alias("older")
        waits = exists().where(
            older.c.status == PENDING,
            older.c.topic == row.c.topic,
            older.c.key == row.c.key,
            older.c.position < row.c.position,
        )
        due = (
            select(row.c.id)
            .where(row.c.status == PENDING, row.c.next_attempt_at <= func.now())
            .where(or_(row.c.claimed_until.is_(None), row.c.claimed_until < func.now()), ~waits)
            .order_by(row.c.position)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = (
            update(event_outbox)
            .where(event_outbox.c.id.in_(select(due.c.id)))
            .values(claimed_by=self._owner, claimed_until=_from_now(lease_s))
            .returning(event_outbox)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(claim)).all()
        return [Claimed(_message(found), found.attempts) for found in sorted(rows, key=lambda found: found.position)]

    async def renew(self, ids: Sequence[UUID], lease_s: float) -> None:
        """Keeps claims alive while their messages are on the way."""
        await self._set(ids, claimed_until=_from_now(lease_s))

    async def published(self, ids: Sequence[UUID]) -> None:
        """The broker has acknowledged them."""
        await self._set(ids, status=PUBLISHED, published_at=func.now(), last_error=None)

    async def postpone(self, claimed: Claimed, error: str, delay_s: float, *, refused: bool) -> None:
        """Tries again later; counted as an attempt only if the broker itself refused the message."""
        await self._set(
            [claimed.message.id],
            attempts=claimed.attempts + int(refused),
            last_error=error,
            next_attempt_at=_from_now(delay_s),
            claimed_by=None,
            claimed_until=None,
        )

    async def park(self, claimed: Claimed, error: str) -> None:
        """Gives the message up and puts a copy for the dead letters in its place, in one transaction."""
        message = claimed.message
        async with self._engine.begin() as connection:
            await connection.execute(
                update(event_outbox)
                .where(event_outbox.c.id == message.id, event_outbox.c.status == PENDING)
                .values(status=FAILED, attempts=claimed.attempts + 1, last_error=error, claimed_by=None)
            )
            if message.topic != DEAD_LETTERS:
                await Outbox(connection).add(dead_letter_copy(message, error, claimed.attempts + 1))

    async def _set(self, ids: Sequence[UUID], **values: Any) -> None:
        still_pending = and_(event_outbox.c.id.in_(ids), event_outbox.c.status == PENDING)
        await self._execute(update(event_outbox).where(still_pending).values(**values))

    async def _execute(self, statement: Any) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement)


def dead_letter_headers(topic: str, cause: str, attempts: int, source: str) -> dict[str, str]:
    """What a dead letter carries in addition to everything the original has."""
    return {"dlq-cause": cause, "dlq-topic": topic, "dlq-attempts": str(attempts), "dlq-source": source}


def dead_letter_copy(message: Message, cause: str, attempts: int) -> Message:
    """The copy of a message that its topic does not take: same headers and value, other topic."""
    extra = dead_letter_headers(message.topic, cause, attempts, message.headers.get("source", ""))
    return Message(
        id=uuid5(message.id, "dead-letter"),
        kind=message.kind,
        topic=DEAD_LETTERS,
        key=message.key,
        type=message.type,
        tenant_id=message.tenant_id,
        headers=message.headers | extra,
        payload=message.payload,
    )


def _from_now(seconds: float) -> Any:
    return func.now() + literal(timedelta(seconds=seconds))


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        kind=Kind(row.kind),
        topic=row.topic,
        key=row.key,
        type=row.type,
        tenant_id=row.tenant_id,
        headers=row.headers,
        payload=row.payload,
    )
