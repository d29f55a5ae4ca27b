from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from pyairtable_reference.kit.saga import orchestrator
from pyairtable_reference.kit.saga.orchestrator import Orchestrator
from pyairtable_reference.kit.unit_of_work import UnitsOfWork

WITHIN_S = 5.0


class FakeUnits:
    """Units of work over no database."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        class Work:
            connection = None

        yield Work()


class FakeStore:
    """Sagas that all are due and none of which can be read but one, which is the last.

    Attributes:
        locked: those that were taken to be moved.
    """

    def __init__(self, broken: int) -> None:
        self.ids = [uuid4() for _ in range(broken + 1)]
        self.locked: list[UUID] = []
        self.reached = asyncio.Event()

    def __call__(self, _: Any) -> FakeStore:
        return self

    async def timers(self, limit: int, *, but: Iterable[UUID]) -> list[tuple[UUID, datetime]]:
        due = datetime.now(UTC) - timedelta(hours=1)
        return [(id_, due) for id_ in self.ids if id_ not in but][:limit]

    async def lock(self, saga_id: UUID, *, skip_locked: bool) -> None:
        assert skip_locked
        self.locked.append(saga_id)
        if saga_id != self.ids[-1]:
            raise KeyError(saga_id)
        self.reached.set()


def test_sagas_that_cannot_be_moved_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore(orchestrator.BATCH + 1)
    monkeypatch.setattr(orchestrator, "SagaStore", store)

    async def run_until_reached() -> None:
        stopping = asyncio.Event()
        timers = Orchestrator(
            cast("UnitsOfWork", FakeUnits()), "orchestrator", [], resend_s=1.0, retry_s=1.0
        ).run_timers(stopping)
        running = asyncio.create_task(timers)
        await asyncio.wait_for(store.reached.wait(), WITHIN_S)
        stopping.set()
        await running

    asyncio.run(run_until_reached())
    assert len(set(store.locked)) == len(store.locked)
