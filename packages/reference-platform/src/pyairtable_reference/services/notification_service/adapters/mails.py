"""Where mails are queued. A claim is a lease in the row: who takes a mail has some time to send it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.services.notification_service.adapters.schema import QUEUED, REJECTED, SENT, mails
from pyairtable_reference.services.notification_service.domain.mail import Mail

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = tuple(mails.c[name] for name in Mail.__dataclass_fields__)


class Mails:
    """The queue, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, mail: Mail) -> None:
        """Queues a mail, unless its saga has one already."""
        row = {column.name: getattr(mail, column.name) for column in _COLUMNS}
        await self._connection.execute(insert(mails).values(**row).on_conflict_do_nothing())

    async def recover(self, owner: str) -> None:
        """Frees what an earlier run of the same process had claimed."""
        mine = and_(mails.c.status == QUEUED, mails.c.claimed_by == owner)
        await self._connection.execute(update(mails).where(mine).values(next_attempt_at=func.now(), claimed_by=None))

    async def next_due_s(self) -> float | None:
        """In how many seconds the next mail is due; None if none is queued."""
        earliest = select(func.min(mails.c.next_attempt_at) - func.now()).where(mails.c.status == QUEUED)
        remaining: timedelta | None = (await self._connection.execute(earliest)).scalar_one()
        return None if remaining is None else remaining.total_seconds()

    async def claim(self, owner: str, limit: int, lease_s: float) -> list[Mail]:
        """Takes mails that are due."""
        due = (
            select(mails.c.id)
            .where(mails.c.status == QUEUED, mails.c.next_attempt_at <= func.now())
            .order_by(mails.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = update(mails).where(mails.c.id.in_(select(due.c.id))).returning(*_COLUMNS)
        rows = await self._connection.execute(
            claim.values(claimed_by=owner, attempts=mails.c.attempts + 1, next_attempt_at=_from_now(lease_s))
        )
        return [Mail(*row) for row in rows]

    async def sent(self, mail: Mail) -> bool:
        """Notes that it was accepted; false if that is known already."""
        return await self._settle(mail, status=SENT, sent_at=func.now(), last_error=None)

    async def rejected(self, mail: Mail, error: str) -> bool:
        """Notes that it will never be accepted; false if the mail is settled already."""
        return await self._settle(mail, status=REJECTED, last_error=error)

    async def postpone(self, mail: Mail, error: str, delay_s: float) -> None:
        """Tries again later."""
        await self._settle(mail, next_attempt_at=_from_now(delay_s), last_error=error)

    async def _settle(self, mail: Mail, **values: Any) -> bool:
        open_ = and_(mails.c.id == mail.id, mails.c.status == QUEUED)
        settled = update(mails).where(open_).values(claimed_by=None, **values)
        return (await self._connection.execute(settled)).rowcount == 1


def _from_now(seconds: float) -> Any:
    return func.now() + literal(timedelta(seconds=seconds))
