"""Waiting between attempts: exponential, capped, and interruptible."""

from __future__ import annotations

import asyncio


def delay_s(attempt: int, first_s: float, cap_s: float) -> float:
    """How long to wait after the attempt of that number (1 is the first)."""
    return float(min(cap_s, first_s * 2 ** min(attempt - 1, 30)))


async def pause(event: asyncio.Event, timeout_s: float) -> bool:
    """Waits until the event is set, at most `timeout_s`; returns whether it is."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return event.is_set()
    return True


class Backoff:
    """Counts consecutive failures of one thing and waits longer after each.

    Attributes:
        failures: how many there have been since the last `reset`.
    """

    def __init__(self, first_s: float, cap_s: float) -> None:
        self.failures = 0
        self._first_s = first_s
        self._cap_s = cap_s

    def reset(self) -> None:
        """It worked again."""
        self.failures = 0

    def next_delay_s(self) -> float:
        """Counts a failure and says how long to wait."""
        self.failures += 1
        return delay_s(self.failures, self._first_s, self._cap_s)

    async def wait(self, stopping: asyncio.Event) -> bool:
        """Counts a failure and waits; returns true if it ended because of `stopping`."""
        return await pause(stopping, self.next_delay_s())
