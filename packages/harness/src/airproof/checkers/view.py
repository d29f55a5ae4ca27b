"""Read-outs arranged by saga and step, as the checkers of sagas look at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from airproof.checkers.expectation import Ending, Expectation
from airproof.platform.manifest import Saga, Step
from airproof.platform.observation import (
    BusMessage,
    Effect,
    MessageKind,
    SagaObservation,
    SagaReadout,
    StepState,
    StoredEvent,
)

EXECUTE = "execute"
COMPENSATE = "compensate"


@dataclass(frozen=True, slots=True)
class Exchange:
    """All copies of one command and of its replies, without what the harness produced."""

    step: str
    action: str
    commands: tuple[BusMessage, ...]
    replies: tuple[BusMessage, ...]

    @property
    def issued(self) -> bool:
        """Whether the command ever went out."""
        return bool(self.commands)

    @property
    def done(self) -> bool:
        """Whether the participant said that it did it."""
        return any(reply.outcome == "done" for reply in self.replies)

    @property
    def refused(self) -> bool:
        """Whether the participant said no."""
        return any(reply.outcome == "refused" for reply in self.replies)

    @property
    def issued_at(self) -> int:
        """When the command first went out, in milliseconds."""
        return min(command.timestamp_ms for command in self.commands)

    @property
    def answered_at(self) -> int:
        """When the first reply went out, in milliseconds."""
        return min(reply.timestamp_ms for reply in self.replies)

    def __str__(self) -> str:
        return f"{self.step}.{self.action}"


@dataclass(frozen=True)
class SagaView:
    """Everything that is known of one saga, and the category of what its scenario puts to the test."""

    saga: Saga
    ending: Ending
    readout: SagaReadout
    observation: SagaObservation
    tests: str

    @property
    def blames(self) -> str:
        """The category of an end or of effects that the steps do not allow: of transactions or tenants, if of these."""
        return self.tests if self.tests in {"UOW", "DBTX", "TENANCY"} else "SAGA"

    @cached_property
    def messages(self) -> tuple[BusMessage, ...]:
        """Its commands and replies on the bus."""
        mine = self.ending.saga_id
        return tuple(message for message in self.observation.bus if message.saga_id == mine and not message.injected)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Both exchanges of every step, forward then back, in the order of the steps."""
        return tuple(
            Exchange(
                step.name,
                action,
                self._copies(MessageKind.COMMAND, f"{step.name}.{action}"),
                self._copies(MessageKind.REPLY, f"{step.name}.{action}"),
            )
            for step in self.saga.steps
            for action in (EXECUTE, COMPENSATE)
        )

    def execute(self, step: str) -> Exchange:
        """The exchange that does the step."""
        return self._exchange(step, EXECUTE)

    def compensate(self, step: str) -> Exchange:
        """The exchange that undoes the step."""
        return self._exchange(step, COMPENSATE)

    @property
    def compensations(self) -> tuple[Exchange, ...]:
        """The compensations that were issued, in the order in which they should have been."""
        return tuple(ex for ex in reversed(self.exchanges) if ex.action == COMPENSATE and ex.issued)

    def effects(self, step: Step) -> tuple[Effect, ...]:
        """The effects of the step that the participant holds."""
        mine = self.ending.saga_id
        return tuple(
            effect
            for effect in self.observation.effects
            if (effect.participant, effect.kind, effect.saga_id) == (step.participant, step.effect, mine)
        )

    def events(self, event_type: str | None) -> tuple[StoredEvent, ...]:
        """The stored events of that type that belong to the saga."""
        correlation = self.readout.correlation_id
        return tuple(
            event
            for event in self.observation.events
            if event.event_type == event_type and event.correlation_id == correlation
        )

    def step_state(self, step: str) -> StepState | None:
        """What the orchestrator says of the step; None if it says nothing."""
        return next((one.state for one in self.readout.steps if one.name == step), None)

    def _copies(self, kind: MessageKind, type_: str) -> tuple[BusMessage, ...]:
        return tuple(message for message in self.messages if message.kind is kind and message.type == type_)

    def _exchange(self, step: str, action: str) -> Exchange:
        return next(ex for ex in self.exchanges if ex.step == step and ex.action == action)


def described(view: SagaView) -> str:
    """The saga as it is reported, in one line."""
    steps = ", ".join(f"{step.name} {step.state.value}" for step in view.readout.steps)
    return f"saga {view.ending.saga_id} is {view.readout.state.value}: {steps}"


def make_views(saga: Saga, observation: SagaObservation, expectation: Expectation) -> list[SagaView]:
    """The expected sagas that were seen, each with all that is known of it."""
    seen = {readout.saga_id: readout for readout in observation.sagas}
    return [
        SagaView(saga, ending, seen[ending.saga_id], observation, expectation.tests)
        for ending in expectation.endings
        if ending.saga_id in seen
    ]


def witness(facts: Iterable[object], *, most: int = 6) -> tuple[str, ...]:
    """The first few facts as text."""
    shown = [_short(fact) for fact in facts]
    return tuple(shown[:most]) + ((f"… and {len(shown) - most} more",) if len(shown) > most else ())


def _short(fact: object) -> str:
    match fact:
        case BusMessage():
            where = f"{fact.topic}[{fact.partition}]@{fact.offset}"
            again = " sent by the harness" if fact.injected else ""
            return f"{fact.kind.value} {fact.type} {fact.outcome} id={fact.message_id} key={fact.key} {where}{again}"
        case StoredEvent():
            return f"{fact.service} stores {fact.event_type} v{fact.version} of {fact.aggregate_id} id={fact.event_id}"
        case Effect():
            return f"{fact.participant} holds {fact.kind} {fact.id} of saga {fact.saga_id or '?'} ({fact.subject})"
        case _:
            return str(fact)
