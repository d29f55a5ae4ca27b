"""What was seen of a platform after a scenario: the read-outs that checkers judge. Plain data, kept in the history."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class SagaState(StrEnum):
    """The states a saga reports."""

    PENDING = "pending"
    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether the saga does nothing any more. `failed` needs somebody's attention."""
        return self in {SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED}


class StepState(StrEnum):
    """The states a step of a saga reports."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class StepReadout:
    """One step as the orchestrator reports it."""

    name: str
    state: StepState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SagaReadout:
    """One saga as the orchestrator reports it.

    Attributes:
        allowed_s: how long it may take, from its start to its deadline; None where nobody says.
    """

    saga_id: str
    state: SagaState
    correlation_id: str
    tenant_id: str
    steps: tuple[StepReadout, ...]
    reason: str = ""
    allowed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """A business fact that a step left at a participant, read from the participant's own database.

    Attributes:
        kind: as in the manifest's step.
        subject: what it is about and shared by the effects of one saga: the e-mail address or the user id.
        saga_id: the saga that made it, where the participant knows.
        tenant_id: whose it is, as the participant stored it.
        facts: what else it says, under the names that its events use.
    """

    participant: str
    kind: str
    id: str
    subject: str
    saga_id: str = ""
    tenant_id: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as its service's own event store holds it.

    Attributes:
        payload: what it tells.
        occurred_at_ms: when that was; 0 if it does not say.
    """

    service: str
    event_id: str
    event_type: str
    aggregate_id: str
    version: int
    tenant_id: str
    correlation_id: str
    causation_id: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    occurred_at_ms: float = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An entity as somebody shows it.

    Attributes:
        version: of the last event that it reflects.
        value: what users may change of it, such as its name.
    """

    id: str
    version: int
    value: str


class UpdateOutcome(StrEnum):
    """How an update at an expected version ended."""

    DONE = "done"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Update:
    """What an update was answered.

    Attributes:
        shown: the entity after it, if it was done.
        reason: why it was not done, or why nobody knows.
        error: the same in a word, as programs are told.
    """

    outcome: UpdateOutcome
    shown: Snapshot | None = None
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message that its service still holds back: not published, or parked."""

    service: str
    message_id: str
    topic: str
    status: str
    attempts: int
    last_error: str = ""
    tenant_id: str = ""


class MessageKind(StrEnum):
    """What a message on the bus is."""

    EVENT = "event"
    COMMAND = "command"
    REPLY = "reply"
    DEAD_LETTER = "dead-letter"


@dataclass(frozen=True, slots=True)
class BusMessage:
    """A record on the bus.

    Attributes:
        type: event type, or `<step>.execute` and `<step>.compensate` for commands and replies.
        topic: without the cell's prefix.
        outcome: of a reply: `done` or `refused`.
        in_reply_to: of a reply: the message id of the command it answers.
        timestamp_ms: when it was sent, by its sender's clock; 0 if unknown.
        told_at_ms: when what it tells of was, as it says itself; 0 if it does not say, or says no moment.
        payload: of an event: what it tells.
        contradictions: where its key, place, headers and body do not say the same, one clause each.
        malformed: what of its body is not of the kind that consumers reckon with, one clause each.
        injected: true for a record that the harness itself produced.
        headers: by name; one that stands more than once has a line for each time.
    """

    kind: MessageKind
    topic: str
    partition: int
    offset: int
    key: str
    message_id: str
    type: str
    tenant_id: str
    correlation_id: str
    saga_id: str = ""
    aggregate_id: str = ""
    version: int = 0
    outcome: str = ""
    causation_id: str = ""
    in_reply_to: str = ""
    timestamp_ms: int = 0
    told_at_ms: float = 0
    payload: dict[str, Any] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    injected: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the SMTP sink accepted; `html` is what it says to who is shown markup, if that is something else."""

    message_id: str
    recipient: str
    subject: str
    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a service keeps from another's events, beside the truth at its owner.

    Attributes:
        subject: whose figure it is: the e-mail address or the user id.
        shown: what the service that keeps it says.
        actual: what its owner's own data says.
    """

    service: str
    name: str
    subject: str
    shown: int
    actual: int


@dataclass(frozen=True, slots=True)
class SagaObservation:
    """All that one tenant's sagas left behind, read after the cell became quiet.

    Attributes:
        sagas: every saga instance of the tenant, not only those the test started.
        effects: of the tenant, at every participant.
        outbox: rows of the tenant that are not published.
        bus: records of the tenant, in order per partition.
        usable: per saga id, whether it works for the user who started it (a login succeeds); empty if not asked.
        figures: numbers kept from events, for the tenant's own data.
        unread: what could not be read; a checker that needs it does not know.
    """

    tenant_id: str
    sagas: tuple[SagaReadout, ...]
    effects: tuple[Effect, ...]
    events: tuple[StoredEvent, ...]
    outbox: tuple[OutboxRow, ...]
    bus: tuple[BusMessage, ...]
    mails: tuple[Mail, ...]
    usable: dict[str, bool] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    unread: tuple[str, ...] = ()
