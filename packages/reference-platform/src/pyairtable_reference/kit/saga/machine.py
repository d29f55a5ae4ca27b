"""The saga state machine: pure, no database and no clock of its own.

Every input (start, a reply, the time) changes the saga and returns what has to go out with the change. What is not in
the table of transitions changes nothing: a late or repeated reply, or the reply to an earlier action, is harmless.

Before the pivot's command is issued a deadline turns the saga back; every step that was issued is compensated, also
the one in flight, because its outcome is unknown. After that the saga only goes forward, unless the pivot refuses.
Compensations run one at a time in reverse order. One that is refused is marked, the others still run, and the saga
ends `failed`: somebody has to look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pyairtable_reference.kit.envelope import Action, Outcome

if TYPE_CHECKING:
    from uuid import UUID

    from pyairtable_reference.kit.saga.definition import SagaDefinition

DEADLINE = "deadline-passed"
_DOUBLINGS = 4


class SagaState(StrEnum):
    """What a saga is doing."""

    PENDING = "pending"
    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self in {SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED}


class StepState(StrEnum):
    """What a step is doing."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


@dataclass(slots=True)
class Step:
    """One step of one saga.

    Attributes:
        attempts: how often the present action's command has been issued.
        resend_at: when it is issued again if no reply has come; None while none is awaited.
    """

    name: str
    state: StepState = StepState.PENDING
    attempts: int = 0
    reason: str | None = None
    result: dict[str, Any] = field(default_factory=dict)
    resend_at: datetime | None = None


@dataclass(slots=True)
class Saga:
    """One saga, as it is stored."""

    id: UUID
    saga_type: str
    tenant_id: str
    correlation_id: str
    input: dict[str, Any]
    deadline_at: datetime
    steps: list[Step]
    state: SagaState = SagaState.PENDING
    context: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    version: int = 0

    def step(self, name: str) -> Step | None:
        """The step of that name, if there is one."""
        return next((step for step in self.steps if step.name == name), None)


@dataclass(slots=True)
class Effects:
    """What has to go out in the transaction that stores the change.

    Attributes:
        commands: steps and what is asked of them.
        events: types of the saga's own events, in order.
        changed: whether the saga is different from before.
    """

    commands: list[tuple[str, Action]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    changed: bool = False


class SagaMachine:
    """Moves sagas of one kind.

    Args:
        resend_s: how long a command may stay unanswered before it is issued again the first time; then twice as long,
            and so on, so that a slow participant is not buried under repetitions.
    """

    def __init__(self, definition: SagaDefinition, resend_s: float) -> None:
        self.definition = definition
        self._resend = timedelta(seconds=resend_s)
        self._pivot = definition.position(definition.pivot)

    def start(self, saga: Saga, now: datetime) -> Effects:
        """Issues the first command."""
        effects = Effects(events=[self.definition.started], changed=True)
        saga.state = SagaState.RUNNING
        self._issue(saga.steps[0], Action.EXECUTE, now, effects)
        return effects

    def on_reply(
        self, saga: Saga, step_name: str, action: Action, outcome: Outcome, answer: Answer, now: datetime
    ) -> Effects:
        """Takes a participant's answer."""
        effects = Effects()
        step = saga.step(step_name)
        transition = step and _TRANSITIONS.get((saga.state, step.state, action, outcome))
        if step and transition:
            effects.changed = True
            step.resend_at = None
            transition(self, saga, step, answer, now, effects)
        return effects

    def on_time(self, saga: Saga, now: datetime) -> Effects:
        """Does what is due: gives up after the deadline, issues unanswered commands again."""
        effects = Effects()
        if self._too_late(saga, now):
            self._turn_back(saga, DEADLINE, now, effects)
        for step in saga.steps:
            if step.resend_at is not None and step.resend_at <= now:
                action = Action.EXECUTE if step.state is StepState.RUNNING else Action.COMPENSATE
                self._issue(step, action, now, effects)
        effects.changed = bool(effects.commands or effects.events)
        return effects

    def next_timer(self, saga: Saga) -> datetime | None:
        """When `on_time` has something to do next; None when never."""
        timers = [step.resend_at for step in saga.steps if step.resend_at]
        if self._may_give_up(saga):
            timers.append(saga.deadline_at)
        return min(timers, default=None)

    def _may_give_up(self, saga: Saga) -> bool:
        return saga.state is SagaState.RUNNING and saga.steps[self._pivot].state is StepState.PENDING

    def _too_late(self, saga: Saga, now: datetime) -> bool:
        return self._may_give_up(saga) and saga.deadline_at <= now

    def _issue(self, step: Step, action: Action, now: datetime, effects: Effects) -> None:
        state = StepState.RUNNING if action is Action.EXECUTE else StepState.COMPENSATING
        step.attempts = step.attempts + 1 if step.state is state else 1
        step.state = state
        step.resend_at = now + self._resend * 2 ** min(step.attempts - 1, _DOUBLINGS)
        effects.commands.append((step.name, action))

    def step_done(self, saga: Saga, step: Step, answer: Answer, now: datetime, effects: Effects) -> None:
        """The step is done: on to the next one, or the saga is complete."""
        step.state = StepState.DONE
        step.result = answer.result
        saga.context = saga.context | answer.result
        following = self.definition.position(step.name) + 1
        if following == len(saga.steps):
            saga.state = SagaState.COMPLETED
            effects.events.append(self.definition.completed)
        elif self._too_late(saga, now):
            self._turn_back(saga, DEADLINE, now, effects)
        else:
            self._issue(saga.steps[following], Action.EXECUTE, now, effects)

    def step_refused(self, saga: Saga, step: Step, answer: Answer, now: datetime, effects: Effects) -> None:
        """The participant said no: the saga turns back, unless it is past its pivot."""
        step.state = StepState.REFUSED
        step.reason = answer.reason
        if self.definition.position(step.name) > self._pivot:
            saga.reason = answer.reason
            self._need_attention(saga, effects)
        else:
            self._turn_back(saga, answer.reason, now, effects)

    def _turn_back(self, saga: Saga, reason: str | None, now: datetime, effects: Effects) -> None:
        saga.state = SagaState.COMPENSATING
        saga.reason = reason
        effects.events.append(self.definition.failed)
        self._undo_next(saga, now, effects)

    def undone(self, saga: Saga, step: Step, _: Answer, now: datetime, effects: Effects) -> None:
        """The step is undone: on to the one before."""
        step.state = StepState.COMPENSATED
        self._undo_next(saga, now, effects)

    def not_undone(self, saga: Saga, step: Step, answer: Answer, now: datetime, effects: Effects) -> None:
        """The participant would not undo the step: remembered, and on to the one before."""
        step.state = StepState.COMPENSATION_FAILED
        step.reason = answer.reason
        self._undo_next(saga, now, effects)

    def _undo_next(self, saga: Saga, now: datetime, effects: Effects) -> None:
        for step, declared in zip(reversed(saga.steps), reversed(self.definition.steps), strict=True):
            if declared.compensable and step.state in {StepState.DONE, StepState.RUNNING}:
                self._issue(step, Action.COMPENSATE, now, effects)
                return
        if any(step.state is StepState.COMPENSATION_FAILED for step in saga.steps):
            self._need_attention(saga, effects)
        else:
            saga.state = SagaState.COMPENSATED
            effects.events.append(self.definition.compensated)

    def _need_attention(self, saga: Saga, effects: Effects) -> None:
        saga.state = SagaState.FAILED
        effects.events.append(self.definition.needs_attention)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply says besides its outcome."""

    reason: str | None = None
    result: dict[str, Any] = field(default_factory=dict)


_Transition = Callable[[SagaMachine, Saga, Step, Answer, datetime, Effects], None]

_TRANSITIONS: dict[tuple[SagaState, StepState, Action, Outcome], _Transition] = {
    (SagaState.RUNNING, StepState.RUNNING, Action.EXECUTE, Outcome.DONE): SagaMachine.step_done,
    (SagaState.RUNNING, StepState.RUNNING, Action.EXECUTE, Outcome.REFUSED): SagaMachine.step_refused,
    (SagaState.COMPENSATING, StepState.COMPENSATING, Action.COMPENSATE, Outcome.DONE): SagaMachine.undone,
    (SagaState.COMPENSATING, StepState.COMPENSATING, Action.COMPENSATE, Outcome.REFUSED): SagaMachine.not_undone,
}
