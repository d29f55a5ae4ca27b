"""Conversations told by hand: what was said when it may not be said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airproof.checkers.verdict import Verdict
from airproof.platform.manifest import Compensation, Step
from airproof.platform.observation import MessageKind

Story = Any
Names = Callable[[Verdict], set[str]]


def test_a_compensation_that_is_never_issued(compensated: Story, names: Names) -> None:
    for id_ in ("c-book_car-compensate-s1", "r-book_car-compensate-s1"):
        compensated.drop(id_)
    assert "SAGA/compensation-never-issued" in names(compensated.judge())


def test_compensations_in_forward_order(compensated: Story, names: Names) -> None:
    compensated.change(
        "c-book_car-compensate-s1", timestamp_ms=compensated.find("c-book_room-compensate-s1").timestamp_ms
    )
    assert "SAGA/illegal-command" in names(compensated.judge())


def test_a_compensation_before_the_refusal(compensated: Story, names: Names) -> None:
    compensated.change("c-book_room-compensate-s1", timestamp_ms=1)
    assert "SAGA/illegal-command" in names(compensated.judge())


def test_a_compensation_past_the_pivot(completed: Story, names: Names) -> None:
    completed.exchange(_step("book_car"), "compensate", "done", "r-send_ticket-execute-s1")
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_compensation_while_the_pivot_may_still_be_done(compensated: Story, names: Names) -> None:
    compensated.drop("r-send_ticket-execute-s1")
    assert "SAGA/illegal-command" in names(compensated.judge(may_time_out=True))


def test_a_step_before_the_one_it_follows(completed: Story, names: Names) -> None:
    completed.change("c-book_room-execute-s1", timestamp_ms=1)
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_step_after_a_refused_one(completed: Story, names: Names) -> None:
    completed.change("r-book_room-execute-s1", outcome="refused")
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_step_after_turning_back(compensated: Story, names: Names) -> None:
    compensated.change("c-send_ticket-execute-s1", timestamp_ms=10_000)
    assert "SAGA/illegal-command" in names(compensated.judge())


@pytest.mark.parametrize(("id_", "name"), [("c-book_car-execute-s1", "command"), ("r-book_car-execute-s1", "reply")])
def test_a_message_sent_again_under_another_id(completed: Story, names: Names, id_: str, name: str) -> None:
    completed.again(id_, message_id="new")
    assert f"SAGA/{name}-id-changes" in names(completed.judge())


def test_a_reply_that_changes_its_mind(completed: Story, names: Names) -> None:
    completed.again("r-book_car-execute-s1", outcome="refused")
    assert "SAGA/reply-changes" in names(completed.judge())


def test_a_command_nobody_answers(completed: Story, names: Names) -> None:
    completed.drop("r-send_ticket-execute-s1")
    assert "SAGA/unanswered" in names(completed.judge())


def test_an_answer_nobody_asked_for(completed: Story, names: Names) -> None:
    completed.drop("c-send_ticket-execute-s1")
    assert "SAGA/unasked" in names(completed.judge())


def test_an_answer_to_another_command(completed: Story, names: Names) -> None:
    completed.change("r-book_car-execute-s1", in_reply_to="c-book_room-execute-s1")
    assert "SAGA/reply-astray" in names(completed.judge())


def test_a_command_that_is_not_declared(completed: Story, names: Names) -> None:
    completed.again("c-book_car-execute-s1", message_id="new", type="dance.execute")
    assert "SAGA/unknown-command" in names(completed.judge())


def test_what_the_harness_sends_is_not_judged(completed: Story) -> None:
    completed.again("c-book_car-execute-s1", message_id="new", injected=True)
    assert completed.judge()
    assert completed.bus[-1].kind is MessageKind.COMMAND


def _step(name: str) -> Step:
    return Step(name, "cars", "car", "car.made", None, Compensation("car.gone"))
