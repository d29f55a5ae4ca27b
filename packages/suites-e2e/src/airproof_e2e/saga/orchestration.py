"""What scenarios do to the orchestrator between any two of its state changes, forward and backward.

Before the orchestrator comes back the participant is frozen, so that nothing but what lies on the bus and in the
orchestrator's own database can make the saga go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

from airproof.checkers.verdict import Anomaly
from airproof.errors import PlatformError
from airproof.faults.process import NodeFault
from airproof.platform.driver import EffectBlock, SagaInput, Write
from airproof.platform.observation import MessageKind
from airproof.wire import on, postgres
from airproof_e2e.saga.breakage import (
    break_off_writes,
    commits_held,
    frozen_at_rest,
    held,
    killed,
    suspended,
    timers_late,
)
from airproof_e2e.saga.messages import DATABASE, applied
from airproof_e2e.saga.moments import answer, asked, before_deadline, wait_past
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

SHORTLY_S, ASKS_LATER_S = 0.2, 2.0
DEADLINES_S = (2.5, 8.0)
"""Who asks after a quarter of a second, and then twice as late each time, has just asked before the first of them."""


def killed_between(stage: Stage, saga_id: str, hanging: NodeFault) -> None:
    """The orchestrator is killed after it has sent the command and before it takes the reply."""
    with ExitStack() as frozen:
        with killed(stage, stage.orchestrator):
            hanging.heal()
            stage.wait_for(saga_id, answer(stage))
            frozen.enter_context(suspended(stage, stage.step.participant))
        stage.wait_for(saga_id, stage.following())


def killed_in_transaction(stage: Stage, saga_id: str, hanging: NodeFault) -> None:
    """The orchestrator is killed while it takes the reply, at its outbox."""
    with _answered(stage, saga_id, hanging) as go_on:
        with held(stage, stage.orchestrator, Write.OUTBOX) as block:
            go_on()
            _kill_at(stage, saga_id, block)
        stage.wait_for(saga_id, stage.following())


def killed_at_commit(stage: Stage, saga_id: str, hanging: NodeFault) -> None:
    """The orchestrator is killed when it has taken the reply and its commit is durable, before it is told so."""
    with _answered(stage, saga_id, hanging) as go_on:
        with commits_held(stage, stage.orchestrator) as block:
            go_on()
            _kill_at(stage, saga_id, block)
        stage.wait_for(saga_id, stage.following())


def transaction_broken_off(stage: Stage, saga_id: str, hanging: NodeFault) -> None:
    """The orchestrator's connection to its database is cut while it takes the reply."""
    with _answered(stage, saga_id, hanging) as go_on:
        break_off_writes(
            stage,
            stage.orchestrator,
            begin=go_on,
            look=lambda: _demand_silence(stage, saga_id),
            done=lambda: stage.has(saga_id, stage.following()),
            writes=(Write.OUTBOX, Write.INBOX, Write.BUSINESS),
        )
        stage.wait_for(saga_id, stage.following())


def deadline_survives(stage: Stage) -> None:
    """The orchestrator is killed shortly before a saga's deadline, and is away until all is due that it waits for.

    It has asked so often by then that it would ask again after the deadline only.
    """

    def then(saga_id: str, passes_at: float) -> bool:
        wait_past(passes_at - SHORTLY_S, "the deadline to be near")
        with killed(stage, stage.orchestrator):
            if stage.has(saga_id, failed := (MessageKind.EVENT, stage.saga.failed)):
                return False
            wait_past(passes_at + ASKS_LATER_S, "the deadline to pass, and the time to ask once more")
        stage.wait_for(saga_id, failed)
        return True

    before_deadline(stage, COMPENSATED, then, DEADLINES_S)


def resending_survives(stage: Stage) -> None:
    """The orchestrator is killed while a command is not answered."""
    asking = (MessageKind.COMMAND, f"{stage.step.name}.{stage.action}")
    with asked(stage) as (saga_id, _):
        with killed(stage, stage.orchestrator):
            before = sum((one.kind, one.type) == asking for one in stage.platform.bus.messages(saga_id))
        stage.wait_for(saga_id, asking, count=before + 1)


def start_killed_at_commit(stage: Stage) -> None:
    """The orchestrator is killed when the saga's start is durable, before it is told so; the user asks again."""
    with commits_held(stage, stage.orchestrator) as block, _start_in_flight(stage):
        block.wait_blocked(timeout_s=WAIT_S)
        with killed(stage, stage.orchestrator):
            block.release()
            _demand_no_start(stage)


def start_broken_off(stage: Stage) -> None:
    """The orchestrator's connection to its database is cut while it starts the saga; the user asks again."""
    with held(stage, stage.orchestrator, Write.OUTBOX) as block, _start_in_flight(stage):
        block.wait_blocked(timeout_s=WAIT_S)
        block.break_off()
        block.release()


def looked_at_meanwhile(stage: Stage) -> None:
    """Somebody looks at the saga while it waits for its last reply; what they are shown comes when it is over."""
    last = stage.saga.steps[-1]
    with frozen_at_rest(stage, last.participant) as hanging:
        saga_id = stage.start()
        stage.command(saga_id, last)
        with timers_late(stage, saga_id), ThreadPoolExecutor(1, thread_name_prefix="operator") as operator:
            before = stage.access.read(saga_id)
            looked_up = on(stage.orchestrator, DATABASE).when(postgres.query(containing=saga_id)).times(1).after()
            with applied(stage, looked_up.hold()) as held_up:
                looking = operator.submit(stage.access.read, saga_id)
                held_up.wait_until_held(WAIT_S)
                hanging.heal()
                stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.completed))
                held_up.release()
                shown = looking.result(WAIT_S)
    if shown not in (before, after := stage.access.read(saga_id)):
        promise, expected = "a saga is shown as it was at one moment", f"{before} or {after}"
        stage.anomalies.append(Anomaly("DBTX", "torn-read", promise, expected, str(shown), (f"saga {saga_id}",)))


@contextmanager
def _answered(stage: Stage, saga_id: str, hanging: NodeFault) -> Iterator[Callable[[], None]]:
    """The reply lies on the bus, participant and orchestrator are frozen. Yields what lets the orchestrator go on.

    It has nothing to do for the saga then but to take the reply: no timer is due.
    """
    with frozen_at_rest(stage, stage.orchestrator) as waiting:
        hanging.heal()
        stage.wait_for(saga_id, answer(stage))
        with suspended(stage, stage.step.participant), timers_late(stage, saga_id):
            yield waiting.heal


def _kill_at(stage: Stage, saga_id: str, block: EffectBlock) -> None:
    block.wait_blocked(timeout_s=WAIT_S)
    _demand_silence(stage, saga_id)
    with killed(stage, stage.orchestrator):
        block.release()


def _demand_silence(stage: Stage, saga_id: str) -> None:
    because = f"while {stage.orchestrator} has not committed"
    stage.demand_silence(saga_id, [stage.following()], because)


@contextmanager
def _start_in_flight(stage: Stage) -> Iterator[None]:
    """A start that may not be answered, and the same start again when what had been stored of the first is over."""
    given, key = stage.make_input(), str(uuid4())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="user") as user:
        first: Future[str] = user.submit(stage.access.start, given, key=key)
        yield
        told = ""
        with suppress(PlatformError):
            told = first.result(WAIT_S)
    for saga_id in stage.access.listed(stage.tenant):
        stage.wait_end(saga_id)
    _ask_again(stage, given, key, told)


def _demand_no_start(stage: Stage) -> None:
    """Who starts a saga while nobody can is not told that it has begun."""
    given, key = stage.make_input(), str(uuid4())
    stage.allowance.secrets.update(given.secrets)
    with suppress(PlatformError):
        told = stage.access.start(given, key=key)
        promise, expected = "a start is said to be one only where a saga has begun", "that it cannot be done now"
        stage.anomalies.append(Anomaly("XSERVICE", "begun-in-vain", promise, expected, f"saga {told}", (f"key {key}",)))


def _ask_again(stage: Stage, given: SagaInput, key: str, told: str) -> None:
    again = stage.start(given, key=key)
    if told and told != again:
        promise = "one start makes one saga"
        stage.anomalies.append(Anomaly("SAGA", "second-instance", promise, told, again, (f"key {key}",)))
