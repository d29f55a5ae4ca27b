"""Conversations told by hand: what was said when it may not be said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airproof.checkers.commands import check_commands
from airproof.checkers.verdict import Anomaly, Validity, Verdict
from airproof.platform.manifest import Compensation, Step
from airproof.platform.observation import MessageKind

Story = Any
Run = Callable[..., Story]
Names = Callable[[Verdict], set[str]]


COMPLETE = "each step that was done is undone when the saga fails"
ASKED_FOR = "only a step that was asked for is undone"
REFUSED = "a refused step is not undone"
REVERSE = "compensations run in reverse order, one after the other"
AFTER_REFUSAL = "a saga turns back after the refusal, not before"
ONLY_REFUSED = "a saga turns back only when a step is refused"
PIVOT_DONE = "nothing is undone once the pivot is done"
PIVOT_OPEN = "nothing is undone while the pivot may still be done"
PREVIOUS_DONE = "a step is asked for only when the one before is done"
PREVIOUS_FIRST = "a step is asked for after the one before is done"
NO_WAY_ON = "a saga that turned back does not go on"


@pytest.mark.parametrize("refused", ["book_car", "book_room", "send_ticket"])
def test_a_saga_that_turns_back_at_any_step_says_nothing_wrong(run: Run, refused: str) -> None:
    assert run(refused=refused).judge()


def test_a_compensation_that_is_never_issued(compensated: Story) -> None:
    for id_ in ("c-book_car-compensate-s1", "r-book_car-compensate-s1"):
        compensated.drop(id_)
    anomaly = _broken(compensated.judge())[COMPLETE]
    assert anomaly.name == "compensation-never-issued"
    assert "book_car.execute issued at 2, done at 4" in anomaly.seen


@pytest.mark.parametrize("told_by", ["trip.failed-s1", "r-send_ticket-execute-s1", "c-book_room-compensate-s1"])
def test_a_saga_turns_back_wholly_however_it_is_seen_to_turn_back(compensated: Story, told_by: str) -> None:
    steps = ("book_car", "book_room")
    shows = {f"{kind}-{step}-compensate-s1" for step in steps for kind in "cr"}
    for id_ in (shows | {"r-send_ticket-execute-s1"}) - {told_by}:
        compensated.drop(id_)
    if told_by != "trip.failed-s1":
        compensated.events = [event for event in compensated.events if event.event_type != "trip.failed"]
    assert COMPLETE in _broken(compensated.judge())


def test_compensations_in_forward_order(compensated: Story) -> None:
    compensated.change(
        "c-book_car-compensate-s1", timestamp_ms=compensated.find("c-book_room-compensate-s1").timestamp_ms
    )
    assert set(_broken(compensated.judge())) == {REVERSE}


def test_a_compensation_before_the_one_it_follows_is_answered(compensated: Story) -> None:
    compensated.drop("r-book_room-compensate-s1")
    anomaly = _broken(compensated.judge())[REVERSE]
    assert "book_room.compensate issued at 11, not answered" in anomaly.seen


def test_what_happens_in_one_millisecond_may_be_in_order(completed: Story, compensated: Story) -> None:
    for story, later, earlier in (
        (completed, "c-book_room-execute-s1", "r-book_car-execute-s1"),
        (compensated, "c-book_car-compensate-s1", "r-book_room-compensate-s1"),
        (compensated, "c-book_room-compensate-s1", "r-send_ticket-execute-s1"),
    ):
        story.change(later, timestamp_ms=story.find(earlier).timestamp_ms)
        assert story.judge()


def test_a_compensation_before_the_refusal(compensated: Story) -> None:
    compensated.change("c-book_room-compensate-s1", timestamp_ms=1)
    assert AFTER_REFUSAL in _broken(compensated.judge())
    assert AFTER_REFUSAL not in _broken(compensated.judge(may_time_out=True))


def test_a_compensation_without_a_refusal(run: Run) -> None:
    turned = run(refused="book_room", kept="book_car")
    turned.change("r-book_room-execute-s1", outcome="done")
    assert ONLY_REFUSED in _broken(turned.judge())
    assert ONLY_REFUSED not in _broken(turned.judge(may_time_out=True))


def test_a_compensation_past_the_pivot(completed: Story) -> None:
    completed.exchange(_step("book_car"), "compensate", "done", "r-send_ticket-execute-s1")
    assert PIVOT_DONE in _broken(completed.judge())


def test_a_compensation_while_the_pivot_may_still_be_done(compensated: Story) -> None:
    compensated.drop("r-send_ticket-execute-s1")
    assert set(_broken(compensated.judge(may_time_out=True))) >= {PIVOT_OPEN}


def test_a_compensation_of_a_step_that_was_not_asked_for(run: Run) -> None:
    turned = run(refused="book_car")
    turned.exchange(_step("book_room"), "compensate", "done", "r-book_car-execute-s1")
    anomaly = _broken(turned.judge())[ASKED_FOR]
    assert anomaly.expected == "no book_room.compensate"


def test_a_compensation_of_a_refused_step(run: Run) -> None:
    turned = run(refused="book_room")
    turned.exchange(_step("book_room"), "compensate", "done", "r-book_room-execute-s1")
    assert REFUSED in _broken(turned.judge())
    assert REFUSED not in _broken(turned.judge(may_time_out=True))
    turned.drop("r-book_room-execute-s1")
    assert REFUSED not in _broken(turned.judge())


def test_a_step_before_the_one_it_follows(completed: Story) -> None:
    completed.change("c-book_room-execute-s1", timestamp_ms=1)
    assert PREVIOUS_FIRST in _broken(completed.judge())


def test_a_step_after_a_refused_one(completed: Story) -> None:
    completed.change("r-book_room-execute-s1", outcome="refused")
    assert PREVIOUS_DONE in _broken(completed.judge())


def test_a_step_after_turning_back(compensated: Story) -> None:
    compensated.change("c-send_ticket-execute-s1", timestamp_ms=10_000)
    assert NO_WAY_ON in _broken(compensated.judge())


@pytest.mark.parametrize(("id_", "name"), [("c-book_car-execute-s1", "command"), ("r-book_car-execute-s1", "reply")])
def test_a_message_sent_again_under_another_id(completed: Story, names: Names, id_: str, name: str) -> None:
    completed.again(id_, message_id="new")
    assert f"SAGA/{name}-id-changes" in names(completed.judge())


def test_a_reply_that_changes_its_mind(completed: Story, names: Names) -> None:
    completed.again("r-book_car-execute-s1", outcome="refused")
    assert "SAGA/reply-changes" in names(completed.judge())


def test_a_command_that_is_sent_again_with_something_else(completed: Story, names: Names) -> None:
    completed.again("c-book_car-execute-s1", body={"a": 1})
    assert "SAGA/command-changes" in names(completed.judge())


def test_a_command_nobody_answers(completed: Story, names: Names) -> None:
    completed.drop("r-send_ticket-execute-s1")
    assert "SAGA/unanswered" in names(completed.judge())


def test_an_answer_nobody_asked_for(completed: Story, names: Names) -> None:
    completed.drop("c-send_ticket-execute-s1")
    found = names(completed.judge())
    assert "SAGA/unasked" in found
    assert "SAGA/reply-astray" not in found


@pytest.mark.parametrize(("unread", "validity"), [("bus", Validity.UNKNOWN), ("mails", Validity.VALID)])
def test_what_was_said_is_unknown_without_the_bus(completed: Story, unread: str, validity: Validity) -> None:
    completed.changes["unread"] = (unread,)
    sight = completed.readout()
    assert check_commands(sight.saga, sight.observation, sight.expectation).validity is validity


@pytest.mark.parametrize("named", ["c-book_room-execute-s1", ""])
def test_an_answer_to_another_command(completed: Story, named: str) -> None:
    completed.change("r-book_car-execute-s1", in_reply_to=named)
    anomaly = _broken(completed.judge())["a reply names the command it answers"]
    assert (anomaly.name, anomaly.seen) == ("reply-astray", named or "none")


def test_a_command_that_is_not_declared(completed: Story, names: Names) -> None:
    completed.again("c-book_car-execute-s1", message_id="new", type="dance.execute")
    assert "SAGA/unknown-command" in names(completed.judge())


def test_what_the_harness_sends_is_not_judged(completed: Story) -> None:
    completed.again("c-book_car-execute-s1", message_id="new", injected=True)
    assert completed.judge()
    assert completed.bus[-1].kind is MessageKind.COMMAND


def _broken(verdict: Verdict) -> dict[str, Anomaly]:
    """What is wrong, by the promise that it breaks."""
    return {anomaly.promise: anomaly for anomaly in verdict.anomalies}


def _step(name: str) -> Step:
    return Step(name, "cars", "car", "car.made", None, Compensation("car.gone"))
