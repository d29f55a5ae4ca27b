"""The stage on which a scenario acts: starts recorded, endings declared, and the messages that it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from airproof.cells import Cell
from airproof.checkers.expectation import Ending
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE, EXECUTE, witness
from airproof.environment.capabilities import LogLine
from airproof.errors import StartRefused
from airproof.platform.driver import Platform, SagaAccess, SagaInput, Tenant
from airproof.platform.manifest import Saga, Step, Subscription
from airproof.platform.observation import BusMessage, MessageKind, SagaState

WAIT_S = 10.0
COMPLETED = frozenset({SagaState.COMPLETED})
COMPENSATED = frozenset({SagaState.COMPENSATED})
FAILED = frozenset({SagaState.FAILED})
Talk = tuple[MessageKind, str]
Subject = Step | Subscription | str | None


@dataclass
class Allowance:
    """What one tenant's sagas may leave behind, as the scenario declares it while it acts."""

    endings: dict[str, Ending] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    parked: set[str] = field(default_factory=set)
    held_back: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    completed: int | None = None
    mails_once: bool = False


@dataclass
class Stage:
    """One scenario's view of a cell.

    Attributes:
        subject: what of the manifest the scenario is about: a step, a service, a subscription; None: the saga.
        undoing: whether it is about undoing the step.
        tests: see `Expectation.tests`.
        anomalies: what the scenario itself saw go wrong.
        disturbances: what the scenario broke or repeated.
    """

    cell: Cell
    platform: Platform
    tenant: Tenant
    saga: Saga
    subject: Subject
    undoing: bool = False
    tests: str = "SAGA"
    anomalies: list[Anomaly] = field(default_factory=list)
    disturbances: list[str] = field(default_factory=list)
    allowances: dict[Tenant, Allowance] = field(default_factory=lambda: defaultdict(Allowance))
    _log_mark: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        logs = self.cell.capabilities.logs
        if logs and not self._log_mark:
            self._log_mark = logs.mark()

    def at(self, step: Step) -> Stage:
        """The same scenario, looking at that step."""
        return replace(self, subject=step)

    def log_lines(self) -> list[LogLine]:
        """What the nodes have written since the scenario began, where the provider can tell."""
        logs = self.cell.capabilities.logs
        return logs.since(self._log_mark) if logs else []

    @property
    def access(self) -> SagaAccess:
        """Access to the saga that the scenario is about."""
        return self.platform.sagas(self.saga.name)

    @property
    def step(self) -> Step:
        """The step that the scenario is about."""
        if not isinstance(self.subject, Step):
            raise TypeError(f"this scenario is about {self.subject!r}, which is no step")
        return self.subject

    @property
    def action(self) -> str:
        """What the step's participant is asked for."""
        return COMPENSATE if self.undoing else EXECUTE

    @property
    def orchestrator(self) -> str:
        """The service that drives the saga."""
        return self.saga.orchestrator

    @property
    def allowance(self) -> Allowance:
        """What the test's own tenant may leave behind."""
        return self.allowances[self.tenant]

    def make_input(self, *, tenant: Tenant | None = None, subject: str | None = None) -> SagaInput:
        """A new input of the test's tenant, or of another one."""
        return self.access.make_input(tenant or self.tenant, subject=subject)

    def start(
        self,
        given: SagaInput | None = None,
        *,
        key: str | None = None,
        deadline_s: float | None = None,
        ends: frozenset[SagaState] = COMPLETED,
        refused: Step | None = None,
        kept: Iterable[Step] = (),
    ) -> str:
        """Starts the saga, declares how it may end, and returns its id. A deadline may pass."""
        given = given or self.make_input()
        self.allowances[given.tenant].secrets.update(given.secrets)
        arguments = {"subject": given.subject, "tenant": given.tenant.id, "key": key, "deadline_s": deadline_s}
        with self.cell.history.operation(f"start {self.saga.name}", args=arguments) as operation:
            try:
                saga_id = self.access.start(given, key=key, deadline_s=deadline_s)
            except StartRefused as refusal:
                operation.fail(refusal)
                raise
            operation.ok(saga_id)
        self.allowances[given.tenant].endings[saga_id] = Ending(
            saga_id=saga_id,
            subject=given.subject,
            states=ends,
            refused=refused.name if refused else None,
            kept=frozenset(step.name for step in kept),
            may_time_out=deadline_s is not None,
            greeted=given.greeted,
            given=_as_kept(given),
            allowed_s=self.saga.deadline_s if deadline_s is None else deadline_s,
        )
        return saga_id

    def may_end(self, saga_id: str, states: frozenset[SagaState]) -> None:
        """Declares another ending of a saga that was started."""
        for allowance in self.allowances.values():
            if saga_id in allowance.endings:
                allowance.endings[saga_id] = replace(allowance.endings[saga_id], states=states)

    def wait_end(self, saga_id: str) -> None:
        """Waits until the saga is terminal."""
        self.access.wait_terminal(saga_id, timeout_s=WAIT_S)

    def wait_for(self, saga_id: str, talk: Talk, *, count: int = 1, timeout_s: float = WAIT_S) -> BusMessage:
        """Waits until the bus holds so many of these messages of the saga, and returns the last of them."""
        return self.access.wait_message(saga_id, *talk, count=count, timeout_s=timeout_s)

    def command(self, saga_id: str, step: Step, action: str = EXECUTE, *, count: int = 1) -> BusMessage:
        """Waits for the count-th copy of a command that the orchestrator sends."""
        return self.wait_for(saga_id, (MessageKind.COMMAND, f"{step.name}.{action}"), count=count)

    def command_again(self, saga_id: str, step: Step, action: str) -> BusMessage:
        """Waits for one more copy of a command than the bus holds at this moment."""
        asking = (MessageKind.COMMAND, f"{step.name}.{action}")
        there = sum((one.kind, one.type) == asking for one in self.platform.bus.messages(saga_id))
        return self.wait_for(saga_id, asking, count=there + 1)

    def reply(self, saga_id: str, step: Step, action: str = EXECUTE, *, count: int = 1) -> BusMessage:
        """Waits for the count-th copy of a reply that the participant sends."""
        return self.wait_for(saga_id, (MessageKind.REPLY, f"{step.name}.{action}"), count=count)

    def has(self, saga_id: str, talk: Talk) -> bool:
        """Whether the bus holds such a message of the saga at this moment."""
        return any((one.kind, one.type) == talk for one in self.platform.bus.messages(saga_id))

    def following(self) -> Talk:
        """What the orchestrator sends when the step is done, or undone: the next command, or how the saga ended."""
        if self.undoing:
            earlier = [one for one in self.saga.before(self.step.name) if one.compensation]
            undo = f"{earlier[-1].name}.{COMPENSATE}" if earlier else ""
            return (MessageKind.COMMAND, undo) if undo else (MessageKind.EVENT, self.saga.compensated)
        later = self.saga.steps[len(self.saga.before(self.step.name)) + 1 :]
        if later:
            return (MessageKind.COMMAND, f"{later[0].name}.{EXECUTE}")
        return (MessageKind.EVENT, self.saga.completed)

    def demand_silence(self, saga_id: str, unwanted: Iterable[Talk], because: str) -> None:
        """Notes an anomaly if the bus holds any such message of the saga by now."""
        not_yet = set(unwanted)
        told = [one for one in self.platform.bus.messages(saga_id) if (one.kind, one.type) in not_yet]
        if told:
            promise = "nothing is on the bus before its transaction is committed"
            seen = ", ".join(sorted({f"{one.kind.value} {one.type}" for one in told}))
            self.anomalies.append(
                Anomaly("OUTBOX", "ghost-message", promise, f"silence {because}", seen, witness(told))
            )


def _as_kept(given: SagaInput) -> dict[str, str]:
    """What is no secret of it; the subject as the platform keeps it, however it was spelled."""
    told = {name: str(value) for name, value in given.fields.items() if value not in given.secrets}
    return {name: given.subject if value.lower() == given.subject else value for name, value in told.items()}
