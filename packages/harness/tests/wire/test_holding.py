"""What became of a hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airproof.errors import WaitTimeout
from airproof.wire import Hold, Wire, matching, on, outcome_of

COMMIT = on("client", "server").when(matching("lines", "COMMIT")).hold().preventable()


def never() -> bool:
    return False


def always() -> bool:
    return True


def test_it_is_held(wire: Wire, connect: Callable[..., Any]) -> None:
    with wire.apply(COMMIT) as hold:
        connect().send("COMMIT")
        assert outcome_of(hold, never, never, 5) is Hold.HELD


def test_its_sender_is_blocked(wire: Wire) -> None:
    with wire.apply(COMMIT) as hold:
        assert outcome_of(hold, always, never, 5) is Hold.BLOCKED


def test_its_sender_finished_without_it(wire: Wire) -> None:
    with wire.apply(COMMIT) as hold:
        assert outcome_of(hold, never, always, 5) is Hold.FINISHED


def test_a_message_that_is_held_counts_even_if_its_sender_seems_to_have_finished(
    wire: Wire, connect: Callable[..., Any]
) -> None:
    with wire.apply(COMMIT) as hold:
        connect().send("COMMIT")
        hold.wait_until_held(5)
        assert outcome_of(hold, always, always, 5) is Hold.HELD


def test_none_of_the_three_is_an_error(wire: Wire) -> None:
    with wire.apply(COMMIT) as hold, pytest.raises(WaitTimeout, match="'held': 0"):
        outcome_of(hold, never, never, 0.1)
