from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from pyairtable_reference.kit.unit_of_work import UnitsOfWork

from .test_envelope import make_command

LOST = OperationalError("COMMIT", {}, OSError("server closed the connection unexpectedly"))


class FakeEngine:
    """Its transactions take every statement; their commit fails as told."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[FakeEngine]:
        yield self
        if self.failure:
            raise self.failure

    async def execute(self, *_: Any) -> None: ...


def announced(*, sends: bool, breaks: bool = False, commit: Exception | None = None) -> list[str]:
    """What a unit of work says to the relay: of a handler that sends something, breaks, or whose commit fails."""
    said: list[str] = []
    units = UnitsOfWork(cast("AsyncEngine", FakeEngine(commit)), lambda: said.append("news"))

    async def handle() -> None:
        async with units.begin() as work:
            if sends:
                work.outbox.add(make_command().message("user-service", "test"))
            if breaks:
                raise KeyError("a handler's own")

    with suppress(KeyError, OperationalError):
        asyncio.run(handle())
    return said


@pytest.mark.parametrize("commit", [None, LOST], ids=["acknowledged", "answer lost"])
def test_what_may_be_committed_is_announced(commit: Exception | None) -> None:
    assert announced(sends=True, commit=commit) == ["news"]


def test_what_is_rolled_back_or_empty_is_not_announced() -> None:
    assert announced(sends=True, breaks=True) == []
    assert announced(sends=False) == []
