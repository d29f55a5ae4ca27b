"""How a hold ended: an interleaving is asked for, and a correct platform may not let it happen.

As in PostgreSQL's isolation tester: the message came and is held; or it does not come because its sender is blocked
by somebody else (a lock that the first transaction has); or the sender finished without ever sending it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from time import monotonic

from airproof.errors import WaitTimeout
from airproof.wire.control import AppliedRule

_LOOK_EVERY_S = 0.02


class Hold(StrEnum):
    """What became of it."""

    HELD = "held"
    BLOCKED = "blocked"
    FINISHED = "finished"


def outcome_of(hold: AppliedRule, blocked: Callable[[], bool], finished: Callable[[], bool], timeout_s: float) -> Hold:
    """Waits until the hold has an outcome. That it is held wakes the waiter; the other two are asked in between.

    Args:
        blocked: whether the sender waits for somebody else: `pg_blocking_pids` says so for PostgreSQL.
        finished: whether the sender has done all it had to do.

    Raises:
        WaitTimeout: none of the three after `timeout_s`.
    """
    deadline = monotonic() + timeout_s
    while True:
        # Asked before the hold, or a message that comes between the two questions would look like none.
        has_finished = finished()
        if hold.holds_within(0 if has_finished else min(_LOOK_EVERY_S, max(0.0, deadline - monotonic()))):
            return Hold.HELD
        if has_finished:
            return Hold.FINISHED
        if blocked() and not hold.is_holding:
            return Hold.BLOCKED
        if monotonic() >= deadline:
            raise WaitTimeout(
                f"waited {timeout_s:g} s for {hold.rule} to hold, or its sender to block or finish; "
                f"last seen: {hold.status()!r}",
                last=hold.status(),
                timeout_s=timeout_s,
            )
