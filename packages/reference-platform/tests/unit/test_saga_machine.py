"""The saga state machine, driven by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pyairtable_reference.kit.envelope import Action, Outcome
from pyairtable_reference.kit.saga.definition import SagaDefinition, StepDefinition
from pyairtable_reference.kit.saga.machine import Answer, Effects, Saga, SagaMachine, SagaState, Step, StepState

T0 = datetime(2026, 1, 1, tzinfo=UTC)
EXECUTE, COMPENSATE = Action.EXECUTE, Action.COMPENSATE
DONE, REFUSED = Outcome.DONE, Outcome.REFUSED


def make_definition() -> SagaDefinition:
    def step(name: str, *, compensable: bool = True) -> StepDefinition:
        return StepDefinition(name, f"{name}-service", lambda given, known: given | known, compensable)

    return SagaDefinition(
        name="trip",
        aggregate_type="trip",
        steps=(step("hotel"), step("flight"), step("ticket", compensable=False), step("letter", compensable=False)),
        pivot="ticket",
        input_fields=frozenset({"who"}),
        started="started",
        completed="completed",
        failed="failed",
        compensated="compensated",
        needs_attention="needs_attention",
    )


class Trip:
    """A saga and its machine; `at_s` is the time in seconds after the start."""

    def __init__(self) -> None:
        definition = make_definition()
        self.machine = SagaMachine(definition, resend_s=1.0)
        steps = [Step(step.name) for step in definition.steps]
        self.saga = Saga(uuid4(), "trip", "tenant", "key", {"who": "ann"}, T0 + timedelta(seconds=30), steps)
        self.effects = self.machine.start(self.saga, T0)

    def reply(
        self, step: str, action: Action, outcome: Outcome, *, at_s: float = 0, reason: str | None = None
    ) -> Effects:
        now = T0 + timedelta(seconds=at_s)
        self.effects = self.machine.on_reply(self.saga, step, action, outcome, Answer(reason, {step: "id"}), now)
        return self.effects

    def done(self, *steps: str) -> Trip:
        for step in steps:
            self.reply(step, EXECUTE, DONE)
        return self

    def time(self, at_s: float) -> Effects:
        self.effects = self.machine.on_time(self.saga, T0 + timedelta(seconds=at_s))
        return self.effects

    def states(self) -> list[str]:
        return [step.state.value for step in self.saga.steps]


def test_steps_are_executed_one_after_the_other_until_the_saga_is_complete() -> None:
    trip = Trip()
    assert (trip.effects.commands, trip.effects.events) == ([("hotel", EXECUTE)], ["started"])
    assert trip.reply("hotel", EXECUTE, DONE).commands == [("flight", EXECUTE)]
    trip.done("flight", "ticket")
    assert trip.reply("letter", EXECUTE, DONE).events == ["completed"]
    assert trip.saga.state is SagaState.COMPLETED
    assert trip.saga.context == {"hotel": "id", "flight": "id", "ticket": "id", "letter": "id"}
    assert trip.machine.next_timer(trip.saga) is None


def test_a_refusal_undoes_the_done_steps_in_reverse_order_one_at_a_time() -> None:
    trip = Trip().done("hotel", "flight")
    effects = trip.reply("ticket", EXECUTE, REFUSED, reason="sold-out")
    assert (effects.events, effects.commands) == (["failed"], [("flight", COMPENSATE)])
    assert trip.reply("flight", COMPENSATE, DONE).commands == [("hotel", COMPENSATE)]
    assert trip.reply("hotel", COMPENSATE, DONE).events == ["compensated"]
    assert (trip.saga.state, trip.saga.reason) == (SagaState.COMPENSATED, "sold-out")
    assert trip.states() == ["compensated", "compensated", "refused", "pending"]


def test_a_refusal_of_the_first_step_leaves_nothing_to_undo() -> None:
    trip = Trip()
    assert trip.reply("hotel", EXECUTE, REFUSED).events == ["failed", "compensated"]
    assert trip.effects.commands == []


def test_a_refused_compensation_is_remembered_and_the_others_still_run() -> None:
    trip = Trip().done("hotel", "flight")
    trip.reply("ticket", EXECUTE, REFUSED)
    assert trip.reply("flight", COMPENSATE, REFUSED, reason="legal-hold").commands == [("hotel", COMPENSATE)]
    assert trip.reply("hotel", COMPENSATE, DONE).events == ["needs_attention"]
    assert trip.saga.state is SagaState.FAILED
    assert trip.saga.steps[1].state is StepState.COMPENSATION_FAILED
    assert trip.saga.steps[1].reason == "legal-hold"


def test_after_the_deadline_the_step_in_flight_is_undone_too() -> None:
    trip = Trip().done("hotel")
    effects = trip.time(30)
    assert (effects.events, effects.commands) == (["failed"], [("flight", COMPENSATE)])
    assert trip.saga.reason == "deadline-passed"


def test_a_step_done_after_the_deadline_is_not_followed_by_the_next() -> None:
    trip = Trip()
    assert trip.reply("hotel", EXECUTE, DONE, at_s=31).commands == [("hotel", COMPENSATE)]


def test_the_deadline_means_nothing_once_the_pivot_was_asked_for() -> None:
    trip = Trip().done("hotel", "flight")
    assert trip.time(1000).commands == [("ticket", EXECUTE)]
    assert trip.saga.state is SagaState.RUNNING
    assert trip.machine.next_timer(trip.saga) > T0 + timedelta(seconds=1000)  # type: ignore[operator]


def test_nothing_is_undone_past_the_pivot() -> None:
    trip = Trip().done("hotel", "flight", "ticket")
    effects = trip.reply("letter", EXECUTE, REFUSED)
    assert (effects.events, effects.commands) == (["needs_attention"], [])
    assert trip.saga.state is SagaState.FAILED


@pytest.mark.parametrize(
    ("step", "action", "outcome"),
    [
        ("hotel", EXECUTE, DONE),
        ("hotel", EXECUTE, REFUSED),
        ("flight", COMPENSATE, DONE),
        ("ticket", EXECUTE, DONE),
        ("nonsense", EXECUTE, DONE),
    ],
)
def test_replies_that_do_not_fit_change_nothing(step: str, action: Action, outcome: Outcome) -> None:
    trip = Trip().done("hotel")
    before = trip.states(), trip.saga.state, dict(trip.saga.context)
    assert trip.reply(step, action, outcome) == Effects()
    assert (trip.states(), trip.saga.state, trip.saga.context) == before


def test_a_late_success_does_not_revive_a_step_that_is_being_undone() -> None:
    trip = Trip()
    trip.time(30)
    assert not trip.reply("hotel", EXECUTE, DONE).changed
    assert trip.reply("hotel", COMPENSATE, DONE).events == ["compensated"]
    assert not trip.reply("hotel", COMPENSATE, DONE).changed


def test_unanswered_commands_are_repeated_less_and_less_often_without_end() -> None:
    trip = Trip()
    trip.reply("hotel", EXECUTE, REFUSED)
    trip = Trip().done("hotel", "flight")
    at_s, waits = 0.0, []
    for _ in range(7):
        due = trip.machine.next_timer(trip.saga)
        assert due is not None
        waits.append((due - T0).total_seconds() - at_s)
        at_s += waits[-1]
        assert trip.time(at_s).commands == [("ticket", EXECUTE)]
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    assert trip.saga.steps[2].attempts == 8


def test_nothing_is_due_early() -> None:
    assert Trip().time(0.5) == Effects()


def test_the_timer_is_the_deadline_when_that_comes_first() -> None:
    trip = Trip()
    trip.saga.deadline_at = T0 + timedelta(seconds=0.2)
    assert trip.machine.next_timer(trip.saga) == trip.saga.deadline_at
