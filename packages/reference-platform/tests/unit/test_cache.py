"""The read-through cache on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from redis.asyncio import Redis

from pyairtable_reference.kit.cache import ENTRY_S, CacheUnavailable, ReadThroughCache

ID = "7"


@dataclass(frozen=True)
class Note:
    text: str
    version: int


Cache = ReadThroughCache[Note]


class Desk:
    """One cache, the truth behind it, and how often the truth was read."""

    def __init__(self, url: str) -> None:
        self.cache: Cache = ReadThroughCache(url, "note.1", TypeAdapter(Note))
        self.redis = Redis.from_url(url)
        self.tenant = f"t{uuid4().hex}"
        self.truth: Note | None = Note("first", 1)
        self.loads = 0

    async def load(self) -> Note | None:
        self.loads += 1
        return self.truth

    async def read(self, tenant: str = "") -> Note | None:
        return await self.cache.get(tenant or self.tenant, ID, self.load)

    async def begin_read(self, release: asyncio.Event) -> asyncio.Task[Note | None]:
        """A read that has read the truth and does not come to its fill before it is released."""
        has_loaded = asyncio.Event()

        async def load() -> Note | None:
            loaded = await self.load()
            has_loaded.set()
            await release.wait()
            return loaded

        reading = asyncio.create_task(self.cache.get(self.tenant, ID, load))
        loading = asyncio.create_task(has_loaded.wait())
        await asyncio.wait({reading, loading}, return_when=asyncio.FIRST_COMPLETED)
        loading.cancel()
        return reading

    def write(self) -> None:
        version = self.truth.version + 1 if self.truth else 1
        self.truth = Note(f"text {version}", version)

    async def invalidate(self, version: int = 0) -> None:
        await self.cache.invalidate(self.tenant, ID, version or (self.truth.version if self.truth else 0))

    async def lose(self) -> None:
        await self.redis.delete(f"cache:note.1:{self.tenant}:{ID}")

    async def close(self) -> None:
        await self.cache.close()
        await self.redis.aclose()


def at_desk(url: str, scenario: Callable[[Desk], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        desk = Desk(url)
        try:
            return await scenario(desk)
        finally:
            await desk.close()

    return asyncio.run(play())


def test_what_was_read_once_is_read_from_the_cache(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        assert [await desk.read(), await desk.read()] == [Note("first", 1)] * 2
        assert desk.loads == 1

    at_desk(redis_url, scenario)


def test_an_invalidation_makes_the_next_read_a_fresh_one(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.read()
        desk.write()
        await desk.invalidate()
        assert [await desk.read(), await desk.read()] == [Note("text 2", 2)] * 2
        assert desk.loads == 2

    at_desk(redis_url, scenario)


def test_a_slow_fill_does_not_bury_a_newer_write(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        release = asyncio.Event()
        slow = await desk.begin_read(release)
        desk.write()
        await desk.invalidate()
        release.set()
        assert await slow == Note("first", 1)
        assert await desk.read() == Note("text 2", 2)

    at_desk(redis_url, scenario)


def test_a_slow_fill_does_not_bury_a_newer_one(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        release = asyncio.Event()
        slow = await desk.begin_read(release)
        desk.write()
        await desk.read()
        release.set()
        await slow
        assert await desk.read() == Note("text 2", 2)

    at_desk(redis_url, scenario)


def test_a_slow_fill_is_dropped_when_redis_has_forgotten_everything_meanwhile(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        release = asyncio.Event()
        slow = await desk.begin_read(release)
        desk.write()
        await desk.invalidate()
        await desk.lose()
        others = asyncio.Event()
        other = await desk.begin_read(others)
        release.set()
        await slow
        assert await desk.read() == Note("text 2", 2)
        others.set()
        await other

    at_desk(redis_url, scenario)


def test_an_invalidation_that_comes_again_changes_nothing(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        desk.write()
        await desk.read()
        await desk.invalidate(2)
        await desk.invalidate(1)
        await desk.read()
        assert desk.loads == 1

    at_desk(redis_url, scenario)


def test_what_is_gone_is_not_kept(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.read()
        desk.truth = None
        await desk.invalidate(2)
        assert await desk.read() is None
        desk.truth = Note("again", 3)
        assert await desk.read() == Note("again", 3)

    at_desk(redis_url, scenario)


def test_tenants_have_entries_of_their_own(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.read()
        desk.write()
        assert await desk.read(f"{desk.tenant}-other") == Note("text 2", 2)
        assert await desk.read() == Note("first", 1)

    at_desk(redis_url, scenario)


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"text": 1}', b"\xff"])
def test_an_entry_that_cannot_be_read_is_replaced(redis_url: str, body: bytes) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.read()
        await desk.redis.hset(f"cache:note.1:{desk.tenant}:{ID}", "body", body)
        assert [await desk.read(), await desk.read()] == [Note("first", 1)] * 2
        assert desk.loads == 2

    at_desk(redis_url, scenario)


def test_nothing_is_kept_for_ever(redis_url: str) -> None:
    async def scenario(desk: Desk) -> None:
        key = f"cache:note.1:{desk.tenant}:{ID}"
        desk.truth = None
        await desk.read()
        assert 0 < await desk.redis.ttl(key) <= ENTRY_S
        desk.truth = Note("first", 1)
        await desk.read()
        assert 0 < await desk.redis.ttl(key) <= ENTRY_S
        await desk.invalidate(2)
        assert 0 < await desk.redis.ttl(key) <= ENTRY_S

    at_desk(redis_url, scenario)


def test_without_redis_everything_is_read_through() -> None:
    async def scenario(desk: Desk) -> None:
        assert [await desk.read(), await desk.read()] == [Note("first", 1)] * 2
        assert desk.loads == 2
        with pytest.raises(CacheUnavailable):
            await desk.invalidate()

    at_desk("redis://127.0.0.1:1/0", scenario)


def test_a_redis_that_says_nothing_costs_one_timeout() -> None:
    async def scenario(desk: Desk) -> float:
        began = asyncio.get_running_loop().time()
        assert await desk.read() == Note("first", 1)
        return asyncio.get_running_loop().time() - began

    async def mute() -> float:
        released = asyncio.Event()

        async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await released.wait()
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        desk = Desk(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        try:
            return await scenario(desk)
        finally:
            released.set()
            server.close()
            await desk.close()

    assert asyncio.run(mute()) < 1.5


STEPS = st.lists(st.sampled_from(["write", "deliver", "read", "begin", "end", "lose"]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_no_interleaving_leaves_an_older_value_behind(redis_url: str, steps: list[str]) -> None:
    """Reads, slow reads, writes, invalidations in order but late, and losses; when all are through, the newest is read.

    And what one reader reads without slow reads in between never goes back.
    """

    async def scenario(desk: Desk) -> None:
        undelivered: list[int] = []
        slow: list[tuple[asyncio.Task[Note | None], asyncio.Event]] = []
        seen = 0
        for step in [*steps, *["deliver"] * len(steps), *["end"] * len(steps)]:
            if step == "write":
                desk.write()
                undelivered.append(desk.truth.version if desk.truth else 0)
            elif step == "deliver" and undelivered:
                await desk.invalidate(undelivered.pop(0))
            elif step == "begin":
                release = asyncio.Event()
                slow.append((await desk.begin_read(release), release))
            elif step == "end" and slow:
                reading, release = slow.pop(0)
                release.set()
                await reading
            elif step == "lose":
                await desk.lose()
            elif step == "read":
                note = await desk.read()
                assert note
                assert note.version >= seen
                seen = note.version
        assert await desk.read() == desk.truth

    at_desk(redis_url, scenario)
