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
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import Interval, and_, bindparam, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.kit.envelope import DEAD_LETTERS, Message
from pyairtable_reference.kit.schema import FAILED, PENDING, PUBLISHED, event_outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_AGAIN = {"status": PENDING, "attempts": 0, "next_attempt_at": func.now(), "claimed_by": None, "claimed_until": None}

# Statements are built once: building them costs more than running them.
_NEW = insert(event_outbox).values(
    {name: bindparam(name) for name in ("id", "kind", "topic", "key", "type", "tenant_id", "headers", "payload")}
)
_ADD = _NEW.on_conflict_do_update(
    index_elements=[event_outbox.c.id], set_=_AGAIN, where=event_outbox.c.status == PUBLISHED
)


class Outbox:
    """Collects the messages of the caller's transaction and writes them before it commits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._added: list[dict[str, Any]] = []

    def add(self, message: Message) -> None:
        """Puts a message in. One that is there already and was published is sent once more, with the same id.

        A row that still waits is left as it is, and so is a parked one: that is for an operator to retry.
        """
        self._added.append(
            {
                "id": message.id,
                "kind": str(message.kind),
                "topic": message.topic,
                "key": message.key,
                "type": message.type,
                "tenant_id": message.tenant_id,
                "headers": message.headers,
                "payload": message.payload,
            }
        )

    async def flush(self) -> bool:
        """Writes what was added; returns whether there was anything."""
        if self._added:
            await self._connection.execute(_ADD, self._added)
        return bool(self._added)

    async def retry(self, message_id: UUID) -> bool:
        """Queues a parked message again, unchanged; returns whether there is one."""
        parked = and_(event_outbox.c.id == message_id, event_outbox.c.status == FAILED)
        return (await self._connection.execute(update(event_outbox).where(parked).values(**_AGAIN))).rowcount == 1


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message this process may send now.

    Attributes:
        attempts: how often the broker has refused it so far.
        followed: whether another message of the same topic and key waits for it.
    """

    message: Message
    attempts: int = 0
    followed: bool = False


_LEASE_END = func.now() + bindparam("lease", type_=Interval)


def _claim() -> Any:
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
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    lease = {"claimed_by": bindparam("owner"), "claimed_until": _LEASE_END}
    claim = update(event_outbox).where(event_outbox.c.id.in_(select(due.c.id))).values(lease)
    newer = event_outbox.alias("newer")
    followed = exists().where(
        newer.c.status == PENDING,
        newer.c.topic == event_outbox.c.topic,
        newer.c.key == event_outbox.c.key,
        newer.c.position > event_outbox.c.position,
    )
    return claim.returning(event_outbox, followed.label("followed"))


_CLAIM = _claim()
_STILL_PENDING = and_(event_outbox.c.id == bindparam("message_id"), event_outbox.c.status == PENDING)
_UPDATE = update(event_outbox).where(_STILL_PENDING)
_OWN = _UPDATE.where(event_outbox.c.claimed_by == bindparam("owner"))
_RENEW = _OWN.values(claimed_until=_LEASE_END)
_PUBLISHED = _UPDATE.values(status=PUBLISHED, published_at=func.now(), last_error=None)
_POSTPONE = _OWN.values(
    attempts=bindparam("attempts"),
    last_error=bindparam("error"),
    next_attempt_at=_LEASE_END,
    claimed_by=None,
    claimed_until=None,
)
_PARK = _OWN.values(
    status=FAILED, attempts=bindparam("attempts"), last_error=bindparam("error"), claimed_by=None, claimed_until=None
)
_RECOVER = (
    update(event_outbox)
    .where(event_outbox.c.status == PENDING, event_outbox.c.claimed_by == bindparam("owner"))
    .values(claimed_by=None, claimed_until=None)
)


class OutboxQueue:
    """The outbox as the relay of one process sees it. Every call is a transaction of its own."""

    def __init__(self, engine: AsyncEngine, owner: str) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._owner = owner

    async def recover(self) -> None:
        """Frees what an earlier run of this very process had claimed."""
        await self._execute(_RECOVER, owner=self._owner)

    async def claim(self, limit: int, lease_s: float) -> list[Claimed]:
        """Takes up to `limit` messages that are due, oldest first, and only the oldest of each topic and key."""
        wanted = {"limit": limit, "owner": self._owner, "lease": timedelta(seconds=lease_s)}
        async with self._single.connect() as connection:
            rows = (await connection.execute(_CLAIM, wanted)).all()
        return [Claimed(_message(row), row.attempts, row.followed) for row in sorted(rows, key=attrgetter("position"))]

    async def renew(self, ids: Sequence[UUID], lease_s: float) -> None:
        """Keeps claims alive while their messages are on the way; what was given back meanwhile stays free."""
        for message_id in ids:
            lease = timedelta(seconds=lease_s)
            await self._execute(_RENEW, message_id=message_id, owner=self._owner, lease=lease)

    async def published(self, message_id: UUID) -> None:
        """The broker has acknowledged it."""
        await self._execute(_PUBLISHED, message_id=message_id)

    async def postpone(self, claimed: Claimed, error: str, delay_s: float, *, refused: bool) -> None:
        """Tries again later; counted as an attempt only if the broker itself refused the message."""
        await self._execute(
            _POSTPONE,
            message_id=claimed.message.id,
            owner=self._owner,
            attempts=claimed.attempts + int(refused),
            error=error,
            lease=timedelta(seconds=delay_s),
        )

    async def park(self, claimed: Claimed, error: str) -> None:
        """Gives the message up and puts a copy for the dead letters in its place, in one transaction.

        Not one that another process has claimed meanwhile: what becomes of it is for that one to say.
        """
        message, attempts = claimed.message, claimed.attempts + 1
        async with self._engine.begin() as connection:
            given_up = {"message_id": message.id, "owner": self._owner, "attempts": attempts, "error": error}
            parked = (await connection.execute(_PARK, given_up)).rowcount == 1
            if parked and message.topic != DEAD_LETTERS:
                outbox = Outbox(connection)
                outbox.add(dead_letter_copy(message, error, attempts))
                await outbox.flush()

    async def _execute(self, statement: Any, **parameters: Any) -> None:
        async with self._single.connect() as connection:
            await connection.execute(statement, parameters)


def dead_letter_headers(topic: str, cause: str, attempts: int, source: str) -> dict[str, str]:
    """What a dead letter carries in addition to everything the original has."""
    return {"dlq-cause": cause, "dlq-topic": topic, "dlq-attempts": str(attempts), "dlq-source": source}


def dead_letter_copy(message: Message, cause: str, attempts: int) -> Message:
    """The copy of a message that its topic does not take: same headers, as far as they are text, and value."""
    stored: Any = message.headers
    readable = stored if isinstance(stored, dict) else {}
    headers = {name: value for name, value in readable.items() if isinstance(value, str)}
    extra = dead_letter_headers(message.topic, cause, attempts, headers.get("source", ""))
    return Message(
        id=uuid5(message.id, "dead-letter"),
        kind=message.kind,
        topic=DEAD_LETTERS,
        key=message.key,
        type=message.type,
        tenant_id=message.tenant_id,
        headers=headers | extra,
        payload=message.payload,
    )


def _message(row: Any) -> Message:
    return Message(
        id=row.id,
        kind=row.kind,
        topic=row.topic,
        key=row.key,
        type=row.type,
        tenant_id=row.tenant_id,
        headers=row.headers,
        payload=row.payload,
    )
