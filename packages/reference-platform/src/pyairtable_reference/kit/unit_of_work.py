"""The unit of work: one transaction for business tables, events, outbox, inbox and command results."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Text, bindparam, func, select

from pyairtable_reference.kit.command_results import CommandResults
from pyairtable_reference.kit.event_store import EventStore
from pyairtable_reference.kit.inbox import Inbox
from pyairtable_reference.kit.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), 0)))


class UnitOfWork:
    """What a handler works with. Repositories use `connection`; nothing in here commits.

    Attributes:
        connection: the one transaction.
        events, outbox, inbox, results: the kit's stores in that transaction.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.outbox = Outbox(connection)
        self.events = EventStore(connection, self.outbox)
        self.inbox = Inbox(connection)
        self.results = CommandResults(connection)
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, action: Callable[[], None]) -> None:
        """Has something done once the transaction has been committed, and only then."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """Does what was to be done after the commit."""
        for action in self._after_commit:
            action()

    async def lock(self, *what: object) -> None:
        """Waits until no other transaction holds the lock of that name, and holds it until the end."""
        name = "/".join(map(str, what))
        await self.connection.execute(_LOCK, {"name": name})


class UnitsOfWork:
    """Opens units of work on one database.

    Attributes:
        announce: says that the outbox may hold something new; called after a commit, a failed one too.
    """

    def __init__(self, engine: AsyncEngine, announce: Callable[[], None]) -> None:
        self._engine = engine
        self.announce = announce

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work that commits when the block ends and rolls back when it raises."""
        announce = False
        try:
            async with self._engine.begin() as connection:
                work = UnitOfWork(connection)
                yield work
                announce = await work.outbox.flush()
        finally:
            # A commit that failed may have been applied, and only its answer was lost.
            if announce:
                self.announce()
        work.committed()
