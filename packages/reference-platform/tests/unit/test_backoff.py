"""Waiting between attempts."""

from __future__ import annotations

import asyncio

from pyairtable_reference.kit.backoff import Backoff, delay_s, pause


def test_delays_double_up_to_the_cap() -> None:
    assert [delay_s(attempt, 0.1, 1.0) for attempt in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert delay_s(10_000, 0.1, 5.0) == 5.0


def test_success_starts_over() -> None:
    backoff = Backoff(1, 10)
    assert [backoff.next_delay_s(), backoff.next_delay_s()] == [1, 2]
    backoff.reset()
    assert backoff.next_delay_s() == 1


def test_waiting_ends_at_once_when_told_to_stop() -> None:
    async def scenario() -> bool:
        stopping = asyncio.Event()
        stopping.set()
        return await pause(stopping, 100)

    assert asyncio.run(scenario())


def test_waiting_ends_after_its_time() -> None:
    async def scenario() -> bool:
        return await pause(asyncio.Event(), 0.001)

    assert not asyncio.run(scenario())
