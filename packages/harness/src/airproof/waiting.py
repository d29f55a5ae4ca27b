"""The one way to wait: on a condition, by the monotonic clock, with the last observation in the error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from airproof.errors import WaitTimeout

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    *,
    timeout_s: float,
    describe: str,
    interval_s: float = 0.002,
    longest_interval_s: float = 0.05,
) -> T:
    """Calls `condition` until it returns something true and returns that.

    The pause between two calls doubles from `interval_s` to `longest_interval_s`. An exception of the condition
    is not swallowed. Prefer an event (a message, a process exit) where there is one.

    Raises:
        WaitTimeout: not true after `timeout_s` seconds; names `describe` and the last observation.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last = condition()
        if last:
            return last
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise WaitTimeout(
                f"waited {timeout_s:g} s for {describe}; last seen: {last!r}", last=last, timeout_s=timeout_s
            )
        time.sleep(min(interval_s, remaining))
        interval_s = min(interval_s * 2, longest_interval_s)
