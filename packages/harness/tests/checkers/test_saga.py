"""Sagas told by hand: valid ones, one for each anomaly, and one that cannot be judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airproof.checkers.verdict import Validity, Verdict
from airproof.platform.observation import Effect, Figure, Mail, SagaState, StepState

Story = Any
Names = Callable[[Verdict], set[str]]
COMPLETED = {SagaState.COMPLETED}


def test_a_completed_saga_is_valid(completed: Story) -> None:
    assert completed.judge(calm=True), completed.judge(calm=True)


def test_a_compensated_saga_is_valid(compensated: Story) -> None:
    assert compensated.judge(refused="send_ticket", calm=True), compensated.judge(refused="send_ticket")


def test_a_failed_saga_is_valid_where_a_compensation_is_refused(failed: Story) -> None:
    assert failed.judge(kept=frozenset({"book_car"})), failed.judge(kept=frozenset({"book_car"}))


def test_a_saga_with_messages_sent_again_is_valid(completed: Story) -> None:
    for message in list(completed.bus):
        completed.again(message.message_id)
    assert completed.judge(), completed.judge()


def test_what_cannot_be_read_makes_the_verdict_unknown(completed: Story) -> None:
    completed.changes["unread"] = ("bus",)
    assert completed.judge().validity is Validity.UNKNOWN


def test_a_saga_that_is_not_terminal_is_stuck(completed: Story, names: Names) -> None:
    completed.state = SagaState.RUNNING
    assert "SAGA/stuck" in names(completed.judge(COMPLETED))
    completed.effects.pop()
    assert "SAGA/effect-missing" not in names(completed.judge(COMPLETED))  # it may still come


def test_another_ending_than_allowed(compensated: Story, names: Names) -> None:
    assert "SAGA/wrong-ending" in names(compensated.judge(COMPLETED))


def test_another_step_refused_than_must_be(compensated: Story, names: Names) -> None:
    assert "SAGA/refusal-lost" in names(compensated.judge(refused="book_room"))


def test_giving_up_without_a_reason(compensated: Story, names: Names) -> None:
    compensated.change("r-send_ticket-execute-s1", outcome="done")
    assert "SAGA/gave-up-without-reason" in names(compensated.judge())


def test_a_passed_deadline_is_a_reason(compensated: Story) -> None:
    steps = compensated.steps
    for id_ in ("c-send_ticket-execute-s1", "r-send_ticket-execute-s1"):
        compensated.drop(id_)
    steps["send_ticket"] = StepState.PENDING
    failing = "trip.failed-s1"
    compensated.change(failing, causation_id="s1")
    compensated.events = [replace(e, causation_id="s1") if e.event_id == failing else e for e in compensated.events]
    compensated.change("c-book_room-compensate-s1", causation_id="s1")
    assert compensated.judge(may_time_out=True), compensated.judge(may_time_out=True)


@pytest.mark.parametrize("step", ["send_ticket", "book_car"])
def test_a_refusal_without_its_reason(failed: Story, names: Names, step: str) -> None:
    readout = failed.observation().sagas[0]
    steps = tuple(replace(one, reason="") if one.name == step else one for one in readout.steps)
    failed.changes["sagas"] = (replace(readout, steps=steps),)
    assert names(failed.judge(kept=frozenset({"book_car"}))) == {"SAGA/wrong-reason"}


@pytest.mark.parametrize("reason", ["", "too-late"])
def test_giving_up_for_another_reason_than_the_refusal(compensated: Story, names: Names, reason: str) -> None:
    compensated.changes["sagas"] = (replace(compensated.observation().sagas[0], reason=reason),)
    assert names(compensated.judge()) == {"SAGA/wrong-reason"}


def test_an_ending_that_tells_another_reason(compensated: Story, names: Names) -> None:
    compensated.tell("trip.failed-s1", {"reason": "kept"})
    assert names(compensated.judge()) == {"SAGA/wrong-reason"}


def test_a_second_saga_for_one_start(completed: Story, names: Names) -> None:
    readout = completed.observation().sagas[0]
    completed.changes["sagas"] = (readout, replace(readout, saga_id="s2"))
    assert "SAGA/second-instance" in names(completed.judge())


def test_a_forgotten_saga(completed: Story, names: Names) -> None:
    completed.changes["sagas"] = ()
    assert "SAGA/lost-saga" in names(completed.judge())


def test_more_rivals_complete_than_there_is_room_for(completed: Story, names: Names) -> None:
    assert "DBTX/wrong-number-completed" in names(completed.judge(completed=0))
    assert "SAGA/wrong-number-completed" in names(completed.judge(completed=2))


def test_an_effect_that_remains(compensated: Story, names: Names) -> None:
    compensated.effects.append(Effect("cars", "car", "car-s1", compensated.subject, "s1", "t1"))
    assert {"SAGA/effect-remains", "ES/events-contradict-effects"} <= names(compensated.judge())


def test_an_effect_that_is_missing(completed: Story, names: Names) -> None:
    completed.effects.pop(0)
    assert "SAGA/effect-missing" in names(completed.judge())


def test_an_effect_that_is_there_twice(completed: Story, names: Names) -> None:
    completed.effects.append(replace(completed.effects[0], id="car-2"))
    assert "SAGA/effect-twice" in names(completed.judge())


def test_an_effect_about_somebody_else(completed: Story, names: Names) -> None:
    completed.effects[0] = replace(completed.effects[0], subject="bob@example.org")
    assert "SAGA/effect-of-another" in names(completed.judge())


def test_an_effect_of_no_saga(completed: Story, names: Names) -> None:
    completed.effects.append(Effect("cars", "car", "car-9", "bob@example.org", "s9", "t1"))
    assert "SAGA/effect-without-saga" in names(completed.judge())


def test_an_effect_undone_twice(compensated: Story, names: Names) -> None:
    compensated.event("cars", "car.gone", "car-s1", "c-book_car-compensate-s1")
    assert "SAGA/effect-not-once" in names(compensated.judge())


def test_a_step_reported_done_that_was_undone(compensated: Story, names: Names) -> None:
    compensated.steps["book_car"] = StepState.DONE
    assert {"SAGA/dishonest-step", "SAGA/dishonest-state", "SAGA/effect-missing"} <= names(compensated.judge())


def test_a_failed_compensation_that_is_swallowed(failed: Story, names: Names) -> None:
    failed.state = SagaState.COMPENSATED
    failed.steps["book_car"] = StepState.COMPENSATED
    found = names(failed.judge({SagaState.FAILED}, kept=frozenset({"book_car"})))
    assert {"SAGA/wrong-ending", "SAGA/dishonest-step", "SAGA/effect-remains"} <= found


def test_a_compensation_that_fails_though_it_can_be_done(failed: Story, names: Names) -> None:
    assert "SAGA/compensation-failed" in names(failed.judge())


def test_a_step_that_was_never_declared(completed: Story, names: Names) -> None:
    completed.steps["dance"] = StepState.DONE
    assert "SAGA/wrong-steps" in names(completed.judge())


@pytest.mark.parametrize("event", ["trip.started", "trip.completed"])
def test_a_saga_that_does_not_tell_of_itself(completed: Story, names: Names, event: str) -> None:
    completed.events = [one for one in completed.events if one.event_type != event]
    assert "SAGA/saga-events-contradict-state" in names(completed.judge())


def test_a_user_who_cannot_use_what_was_completed(completed: Story, names: Names) -> None:
    completed.changes["usable"] = {"s1": False}
    assert "SAGA/not-usable" in names(completed.judge())


def test_a_user_who_can_use_what_was_undone(compensated: Story, names: Names) -> None:
    compensated.changes["usable"] = {"s1": True}
    assert "SAGA/usable-all-the-same" in names(compensated.judge())


@pytest.mark.parametrize(("tests", "blamed"), [("SAGA", "CQRS"), ("BUS", "BUS")])
def test_a_figure_that_counts_an_event_twice(completed: Story, names: Names, tests: str, blamed: str) -> None:
    completed.changes["figures"] = (Figure("rooms", "cars", completed.subject, 2, 1),)
    assert names(completed.judge(tests=tests)) == {f"{blamed}/figure-differs"}


@pytest.mark.parametrize(
    ("tests", "blamed"), [("SAGA", "SAGA"), ("BUS", "SAGA"), ("UOW", "UOW"), ("TENANCY", "TENANCY")]
)
def test_where_transactions_are_broken_they_are_blamed(completed: Story, names: Names, tests: str, blamed: str) -> None:
    completed.effects.append(Effect("cars", "car", "car-s2", completed.subject, "s1", "t1"))
    assert f"{blamed}/effect-twice" in names(completed.judge(tests=tests))


@pytest.mark.parametrize("tests", ["SAGA", "BUS"])
def test_a_saga_that_does_not_end_is_blamed_on_what_is_tested(completed: Story, names: Names, tests: str) -> None:
    completed.state = SagaState.RUNNING
    assert f"{tests}/stuck" in names(completed.judge(tests=tests))


def test_a_mail_that_never_comes(completed: Story, names: Names) -> None:
    completed.mails.clear()
    assert "SAGA/mail-missing" in names(completed.judge())


def test_a_mail_with_two_ids(completed: Story, names: Names) -> None:
    completed.mails.append(Mail("<other@example.org>", completed.subject, "Welcome"))
    assert "SAGA/mail-without-cause" in names(completed.judge())


def test_a_mail_that_greets_somebody_else(completed: Story, names: Names) -> None:
    completed.mails[0] = replace(completed.mails[0], text="Hello {name},")
    assert completed.judge()
    assert names(completed.judge(greeted="Ann")) == {"CONTRACT/greets-another"}
    completed.mails[0] = replace(completed.mails[0], text="Hello Ann,")
    assert completed.judge(greeted="Ann")


def test_a_mail_that_takes_a_name_for_markup(completed: Story, names: Names) -> None:
    told = {"text": "Hello <b>Ann</b>,", "html": "<p>Hello &lt;b&gt;Ann&lt;/b&gt;,</p>"}
    completed.mails[0] = replace(completed.mails[0], **told)
    assert completed.judge(greeted="<b>Ann</b>")
    completed.mails[0] = replace(completed.mails[0], html="<p>Hello <b>Ann</b>,</p>")
    assert names(completed.judge(greeted="<b>Ann</b>")) == {"SECURITY/markup-in-a-mail"}


def test_a_mail_sent_twice_with_one_id_is_valid(completed: Story) -> None:
    completed.mails.append(completed.mails[0])
    assert completed.judge()


def test_a_mail_sent_twice_without_a_fault(completed: Story, names: Names) -> None:
    completed.mails.append(completed.mails[0])
    assert names(completed.judge(calm=True)) == {"SAGA/mail-twice"}
    assert names(completed.judge(mails_once=True)) == {"SAGA/mail-twice"}


def test_a_mail_that_does_not_say_what_it_is_about(completed: Story, names: Names) -> None:
    completed.mails = [replace(one, subject="") for one in completed.mails]
    assert names(completed.judge()) == {"CONTRACT/no-subject"}


@pytest.mark.parametrize(
    ("told", "found"),
    [("red", set()), ("blue", {"ES/event-tells-otherwise"}), (["red"], {"CONTRACT/event-tells-otherwise"})],
)
def test_an_event_that_tells_something_else_than_its_effect(
    completed: Story, names: Names, told: object, found: set[str]
) -> None:
    effect, event = completed.effects[0], completed.events[1]
    completed.effects[0] = replace(effect, facts={"colour": "red", "doors": 4})
    completed.tell(event.event_id, {"colour": told})
    assert names(completed.judge()) == found


def test_an_effect_that_says_something_else_than_was_asked_for(completed: Story, names: Names) -> None:
    completed.effects[1] = replace(completed.effects[1], facts={"for": "Ann and family"})
    assert completed.judge(given={"who": "Ann"}), completed.judge(given={"who": "Ann"})
    assert names(completed.judge(given={"who": "Bob"})) == {"CONTRACT/effect-differs"}


def test_an_event_that_does_not_tell_what_it_is_declared_to(completed: Story, names: Names) -> None:
    trip = completed.readout().saga
    trip = replace(trip, steps=(replace(trip.steps[0], tells=("plate",)), *trip.steps[1:]))
    assert names(replace(completed.readout(), saga=trip).judge()) == {"CONTRACT/event-lacks"}
    completed.tell("car.made-s1", {"plate": "A 1"})
    assert replace(completed.readout(), saga=trip).judge()


@pytest.mark.parametrize("ending", [{}, {"refused": "send_ticket"}, {"refused": "send_ticket", "kept": "book_car"}])
def test_each_event_of_a_saga_tells_what_it_is_declared_to(
    run: Callable[..., Story], names: Names, ending: dict[str, str]
) -> None:
    story = run(**ending)
    own = [event for event in story.events if event.service == "desk"]
    for event in own:
        story.tell(event.event_id, {"trip_type": "city"})
    trip, kept = replace(story.readout().saga, tells=("trip_type",)), frozenset(filter(None, [ending.get("kept")]))
    assert replace(story.readout(kept=kept), saga=trip).judge()
    for event in own:
        story.tell(event.event_id, {})
        assert names(replace(story.readout(kept=kept), saga=trip).judge()) == {"CONTRACT/event-lacks"}
        story.tell(event.event_id, {"trip_type": "city"})


def test_an_event_of_a_saga_that_names_another(completed: Story, names: Names) -> None:
    completed.tell("trip.completed-s1", {"saga_id": "s2"})
    assert names(completed.judge()) == {"CONTRACT/event-of-another"}


def test_an_undoing_that_tells_of_something_else(compensated: Story, names: Names) -> None:
    compensated.tell("car.made-s1", {"plate": "A 1"})
    compensated.tell("car.gone-s1", {"plate": "A 1"})
    assert compensated.judge(), compensated.judge()
    for other in ("B 2", "", None):
        compensated.tell("car.gone-s1", {"plate": other})
        assert names(compensated.judge()) == {"ES/events-contradict"}


def test_steps_whose_events_tell_of_different_things(completed: Story, names: Names) -> None:
    completed.tell("car.made-s1", {"driver_id": "ann"})
    completed.tell("room.made-s1", {"driver_id": "ann"})
    assert completed.judge(), completed.judge()
    for other in ("bob", "", None):
        completed.tell("room.made-s1", {"driver_id": other})
        [anomaly] = completed.judge().anomalies
        assert (anomaly.name, anomaly.expected) == ("events-contradict", "driver_id 'ann', as car.made says")
        assert anomaly.seen == f"driver_id {other!r}"


def test_a_mail_of_a_saga_that_failed(compensated: Story, names: Names) -> None:
    compensated.mails.append(Mail("<s1@example.org>", compensated.subject, "Welcome"))
    assert "SAGA/mail-without-cause" in names(compensated.judge())


def test_a_deadline_that_is_another_than_the_start_says(completed: Story, names: Names) -> None:
    completed.allowed_s = 119.6
    assert completed.judge(allowed_s=120.0), completed.judge(allowed_s=120.0)
    assert names(completed.judge(allowed_s=119.0)) == {"SAGA/deadline-moved"}
    assert names(completed.judge(allowed_s=300.0)) == {"SAGA/deadline-moved"}


def test_an_event_of_a_saga_without_its_correlation(completed: Story, names: Names) -> None:
    completed.events[1] = replace(completed.events[1], correlation_id="lost")
    assert "XSERVICE/event-without-saga" in names(completed.judge())
