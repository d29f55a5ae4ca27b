"""Conversations told by hand: what was said when it may not be said."""

from __future__ import annotations

import pytest

from airproof.platform.observation import MessageKind


def test_a_compensation_that_is_never_issued(compensated, names):
    for id_ in ("c-book_car-compensate-s1", "r-book_car-compensate-s1"):
        compensated.drop(id_)
    assert "SAGA/compensation-never-issued" in names(compensated.judge())


def test_compensations_in_forward_order(compensated, names):
    compensated.change("c-book_car-compensate-s1", timestamp_ms=compensated.find("c-book_room-compensate-s1").timestamp_ms)
    assert "SAGA/illegal-command" in names(compensated.judge())


def test_a_compensation_before_the_refusal(compensated, names):
    compensated.change("c-book_room-compensate-s1", timestamp_ms=1)
    assert "SAGA/illegal-command" in names(compensated.judge())


def test_a_compensation_past_the_pivot(completed, names):
    completed.exchange(_step("book_car"), "compensate", "done", "r-send_ticket-execute-s1")
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_compensation_while_the_pivot_may_still_be_done(compensated, names):
    compensated.drop("r-send_ticket-execute-s1")
    assert "SAGA/illegal-command" in names(compensated.judge(may_time_out=True))


def test_a_step_before_the_one_it_follows(completed, names):
    completed.change("c-book_room-execute-s1", timestamp_ms=1)
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_step_after_a_refused_one(completed, names):
    completed.change("r-book_room-execute-s1", outcome="refused")
    assert "SAGA/illegal-command" in names(completed.judge())


def test_a_step_after_turning_back(compensated, names):
    compensated.change("c-send_ticket-execute-s1", timestamp_ms=10_000)
    assert "SAGA/illegal-command" in names(compensated.judge())


@pytest.mark.parametrize(("id_", "name"), [("c-book_car-execute-s1", "command"), ("r-book_car-execute-s1", "reply")])
def test_a_message_sent_again_under_another_id(completed, names, id_, name):
    completed.again(id_, message_id="new")
    assert f"SAGA/{name}-id-changes" in names(completed.judge())


def test_a_reply_that_changes_its_mind(completed, names):
    completed.again("r-book_car-execute-s1", outcome="refused")
    assert "SAGA/reply-changes" in names(completed.judge())


def test_a_command_nobody_answers(completed, names):
    completed.drop("r-send_ticket-execute-s1")
    assert "SAGA/unanswered" in names(completed.judge())


def test_an_answer_nobody_asked_for(completed, names):
    completed.drop("c-send_ticket-execute-s1")
    assert "SAGA/unasked" in names(completed.judge())


def test_an_answer_to_another_command(completed, names):
    completed.change("r-book_car-execute-s1", in_reply_to="c-book_room-execute-s1")
    assert "SAGA/reply-astray" in names(completed.judge())


def test_a_command_that_is_not_declared(completed, names):
    completed.again("c-book_car-execute-s1", message_id="new", type="dance.execute")
    assert "SAGA/unknown-command" in names(completed.judge())


def test_what_the_harness_sends_is_not_judged(completed):
    completed.again("c-book_car-execute-s1", message_id="new", injected=True)
    assert completed.judge()
    assert completed.bus[-1].kind is MessageKind.COMMAND


def _step(name):
    from airproof.platform.manifest import Compensation, Step  # noqa: PLC0415

    return Step(name, "cars", "car", "car.made", None, Compensation("car.gone"))
