"""When the messages of a saga say that it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airproof.checkers.verdict import Verdict
from airproof.platform.observation import MessageKind

Story = Any
Names = Callable[[Verdict], set[str]]
BEGIN_MS, EACH_MS = 1_700_000_000_000, 5_000


@pytest.fixture
def timed(completed: Story) -> Story:
    """A saga of which everything says when it was."""
    for place, one in enumerate(completed.bus):
        _tell(completed, place, BEGIN_MS + EACH_MS * one.timestamp_ms)
    return completed


def _tell(story: Story, place: int, told_at_ms: int, sent_at_ms: int = 0) -> None:
    one = story.bus[place]
    told = 0 if one.kind is MessageKind.REPLY else told_at_ms
    story.bus[place] = replace(one, told_at_ms=told, timestamp_ms=sent_at_ms or told_at_ms)
    story.events = [
        replace(event, occurred_at_ms=told) if event.event_id == one.message_id else event for event in story.events
    ]


def _place(story: Story, id_: str) -> int:
    return [one.message_id for one in story.bus].index(id_)


def test_times_as_they_should_be(timed: Story) -> None:
    assert timed.judge()


def test_an_event_before_its_command(timed: Story, names: Names) -> None:
    place = _place(timed, "car.made-s1")
    _tell(timed, place, BEGIN_MS + EACH_MS, timed.bus[place].timestamp_ms)
    assert names(timed.judge(calm=False)) == {"ES/time-wrong"}


def test_a_command_before_its_saga(timed: Story, names: Names) -> None:
    place = _place(timed, "c-book_car-execute-s1")
    _tell(timed, place, BEGIN_MS - EACH_MS, timed.bus[place].timestamp_ms)
    assert names(timed.judge(calm=False)) == {"ES/time-wrong"}


@pytest.mark.parametrize("calm", [True, False])
def test_an_event_that_is_sent_long_after(timed: Story, calm: bool) -> None:
    place = _place(timed, "trip.started-s1")
    _tell(timed, place, BEGIN_MS - 60_000, timed.bus[place].timestamp_ms)
    assert bool(timed.judge(calm=calm)) is not calm


def test_an_event_that_is_still_to_come(timed: Story, names: Names) -> None:
    place = _place(timed, "trip.completed-s1")
    _tell(timed, place, timed.bus[place].timestamp_ms + 3_600_000, timed.bus[place].timestamp_ms)
    assert names(timed.judge()) == {"ES/time-to-come"}


def test_an_event_that_says_no_moment(timed: Story, names: Names) -> None:
    place = _place(timed, "car.made-s1")
    _tell(timed, place, 0, timed.bus[place].timestamp_ms)
    assert names(timed.judge()) == {"ES/time-missing"}


def test_an_event_that_is_told_with_another_time_than_it_is_stored(timed: Story, names: Names) -> None:
    timed.events = [replace(one, occurred_at_ms=one.occurred_at_ms + 1) for one in timed.events]
    assert names(timed.judge()) == {"OUTBOX/changed-message"}
