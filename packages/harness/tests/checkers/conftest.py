"""A small saga told by hand: what a correct platform leaves behind, to be changed by each test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from airproof.checkers.expectation import Ending, Expectation
from airproof.checkers.readouts import ReadOut
from airproof.checkers.verdict import Verdict
from airproof.platform.manifest import Compensation, Refusal, Saga, Step
from airproof.platform.observation import (
    BusMessage,
    Effect,
    Figure,
    Mail,
    MessageKind,
    SagaObservation,
    SagaReadout,
    SagaState,
    StepReadout,
    StepState,
    StoredEvent,
)


def make_step(name: str, participant: str, effect: str, *, undo: bool = True) -> Step:
    compensation = Compensation(f"{effect}.gone", Refusal("kept", "it is kept")) if undo else None
    step = Step(name, participant, effect, f"{effect}.made", Refusal("full", "it is full"), compensation)
    return replace(step, holds={"for": "{who} and family"}) if effect == "room" else step


TRIP = Saga(
    name="trip",
    orchestrator="desk",
    steps=(
        make_step("book_car", "cars", "car"),
        make_step("book_room", "rooms", "room"),
        make_step("send_ticket", "post", "ticket", undo=False),
    ),
    pivot="send_ticket",
    started="trip.started",
    completed="trip.completed",
    failed="trip.failed",
    compensated="trip.compensated",
    needs_attention="trip.needs_attention",
    sends_mail_in="send_ticket",
)


@dataclass
class Story:
    """One saga as it happens. Every method writes down what a correct platform would."""

    saga_id: str = "s1"
    subject: str = "ann@example.org"
    bus: list[BusMessage] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    steps: dict[str, StepState] = field(default_factory=lambda: {step.name: StepState.PENDING for step in TRIP.steps})
    state: SagaState = SagaState.RUNNING
    mails: list[Mail] = field(default_factory=list)
    clock: Any = field(default_factory=lambda: count(1))
    changes: dict[str, Any] = field(default_factory=dict)
    allowed_s: float | None = None

    def event(self, service: str, type_: str, aggregate: str, cause: str) -> str:
        version = sum(1 for event in self.events if event.aggregate_id == aggregate) + 1
        id_ = f"{type_}-{self.saga_id}"
        self.events.append(StoredEvent(service, id_, type_, aggregate, version, "t1", f"key-{self.saga_id}", cause))
        self._record(
            service,
            MessageKind.EVENT,
            f"{aggregate.split('-', maxsplit=1)[0]}.events",
            aggregate,
            id_,
            type_,
            cause,
            aggregate_id=aggregate,
            version=version,
        )
        return id_

    def exchange(self, step: Step, action: str, outcome: str, cause: str) -> str:
        command, reply = f"c-{step.name}-{action}-{self.saga_id}", f"r-{step.name}-{action}-{self.saga_id}"
        self._record(
            TRIP.orchestrator,
            MessageKind.COMMAND,
            f"{step.participant}.commands",
            self.saga_id,
            command,
            f"{step.name}.{action}",
            cause,
            saga_id=self.saga_id,
        )
        aggregate = f"{step.effect}-{self.saga_id}"
        if outcome == "done" and action == "execute":
            self.effects.append(Effect(step.participant, step.effect, aggregate, self.subject, self.saga_id, "t1"))
            self.event(step.participant, step.event, aggregate, command)
        elif outcome == "done" and step.compensation:
            self.effects = [effect for effect in self.effects if effect.id != aggregate]
            self.event(step.participant, step.compensation.event, aggregate, command)
        self._record(
            step.participant,
            MessageKind.REPLY,
            "replies",
            self.saga_id,
            reply,
            f"{step.name}.{action}",
            command,
            saga_id=self.saga_id,
            outcome=outcome,
            in_reply_to=command,
        )
        return reply

    def run(self, *, refused: str | None = None, kept: str | None = None) -> Story:
        """Runs the saga to its end."""
        cause = self.event("desk", TRIP.started, f"trip-{self.saga_id}", self.saga_id)
        self.state = SagaState.COMPLETED
        for step in TRIP.steps:
            cause = self.exchange(step, "execute", "refused" if step.name == refused else "done", cause)
            self.steps[step.name] = StepState.REFUSED if step.name == refused else StepState.DONE
            if step.name == refused:
                self._undo(TRIP.before(step.name), cause, kept)
                return self
        self.mails.append(Mail("<s1@example.org>", self.subject, "Welcome"))
        self.event("desk", TRIP.completed, f"trip-{self.saga_id}", cause)
        return self

    def _undo(self, steps: tuple[Step, ...], cause: str, kept: str | None) -> None:
        self.event("desk", TRIP.failed, f"trip-{self.saga_id}", cause)
        self.state = SagaState.FAILED if kept else SagaState.COMPENSATED
        for step in reversed(steps):
            stays = step.name == kept
            cause = self.exchange(step, "compensate", "refused" if stays else "done", cause)
            self.steps[step.name] = StepState.COMPENSATION_FAILED if stays else StepState.COMPENSATED
        self.event("desk", str(TRIP.needs_attention if kept else TRIP.compensated), f"trip-{self.saga_id}", cause)

    def _record(
        self, sender: str, kind: MessageKind, topic: str, key: str, id_: str, type_: str, cause: str, **more: Any
    ) -> None:
        at = next(self.clock)
        message = BusMessage(
            kind,
            topic,
            0,
            at,
            key,
            id_,
            type_,
            "t1",
            f"key-{self.saga_id}",
            causation_id=cause,
            timestamp_ms=at,
            headers={"source": sender},
            **more,
        )
        self.bus.append(message)

    def observation(self) -> SagaObservation:
        reasons = {StepState.REFUSED: "full", StepState.COMPENSATION_FAILED: "kept"}
        steps = tuple(StepReadout(name, state, reasons.get(state, "")) for name, state in self.steps.items())
        gave_up = "full" if StepState.REFUSED in self.steps.values() else "too-late"
        reason = gave_up if self.state in {SagaState.COMPENSATED, SagaState.FAILED} else ""
        readout = SagaReadout(self.saga_id, self.state, f"key-{self.saga_id}", "t1", steps, reason, self.allowed_s)
        works = {self.saga_id: self.state is SagaState.COMPLETED}
        figures = (Figure("rooms", "cars", self.subject, 1, 1),)
        left = (tuple(self.effects), tuple(self.events), (), tuple(self.bus), tuple(self.mails))
        return replace(SagaObservation("t1", (readout,), *left, works, figures), **self.changes)

    def find(self, id_: str) -> BusMessage:
        return next(message for message in self.bus if message.message_id == id_)

    def change(self, id_: str, **changes: Any) -> None:
        """Changes every record of that id."""
        self.bus = [replace(one, **changes) if one.message_id == id_ else one for one in self.bus]

    def tell(self, id_: str, payload: dict[str, Any]) -> None:
        """Has an event tell something, in the event store and on the bus."""
        self.events = [replace(one, payload=payload) if one.event_id == id_ else one for one in self.events]
        self.change(id_, payload=payload)

    def drop(self, id_: str) -> None:
        """Takes every record of that id off the bus."""
        self.bus = [message for message in self.bus if message.message_id != id_]

    def again(self, id_: str, **changes: Any) -> None:
        """Sends the record once more, changed."""
        at = next(self.clock)
        self.bus.append(replace(self.find(id_), offset=at, timestamp_ms=at, **changes))

    def judge(self, states: set[SagaState] | None = None, **allowed: Any) -> Verdict:
        """The verdict; the story's own end is the expected one."""
        return self.readout(states, **allowed).judge()

    def readout(self, states: set[SagaState] | None = None, **allowed: Any) -> ReadOut:
        """All that the verdict depends on."""
        own = ("refused", "kept", "may_time_out", "greeted", "allowed_s", "given")
        of_ending = {name: allowed.pop(name) for name in own if name in allowed}
        ending = Ending(self.saga_id, self.subject, frozenset(states or {self.state}), **of_ending)
        return ReadOut(TRIP, self.observation(), Expectation((ending,), **allowed))


@pytest.fixture
def run() -> Callable[..., Story]:
    """Tells of a saga with a step refused, and perhaps one that could not be undone."""
    return lambda **ending: Story().run(**ending)


@pytest.fixture
def completed() -> Story:
    """A saga that completed."""
    return Story().run()


@pytest.fixture
def compensated() -> Story:
    """A saga whose last step was refused and whose other steps were undone."""
    return Story().run(refused="send_ticket")


@pytest.fixture
def failed() -> Story:
    """A saga whose first step could not be undone."""
    return Story().run(refused="send_ticket", kept="book_car")


@pytest.fixture
def names() -> Callable[[Verdict], set[str]]:
    """The anomalies of a verdict, as `CATEGORY/name`."""
    return lambda verdict: {f"{anomaly.category}/{anomaly.name}" for anomaly in verdict.anomalies}
