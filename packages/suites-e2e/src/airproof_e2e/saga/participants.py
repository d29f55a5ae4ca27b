"""What scenarios do to a participant around its step, forward and backward.

Where the participant has to help itself, the orchestrator is frozen: its asking again must not hide what was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE, EXECUTE, witness
from airproof.faults.process import NodeFault
from airproof.platform.driver import EffectBlock, Write
from airproof.platform.manifest import Step
from airproof.platform.observation import MessageKind, OutboxRow, SagaState
from airproof_e2e.saga.breakage import (
    break_off_writes,
    commits_held,
    demand_clean_exit,
    group_forgotten,
    held,
    killed,
    redelivered,
    stopped,
    stopped_over,
    suspended,
    undo_refused,
)
from airproof_e2e.saga.moments import (
    answer,
    before_deadline,
    demand_logged,
    demand_silence,
    last_refusable,
    wait_past,
)
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.shutdowns import TRIES, shut_down_over
from airproof_e2e.saga.stage import COMPENSATED, COMPLETED, FAILED, WAIT_S, Stage
from airproof_e2e.saga.timers import demand_asked_on, demand_let_be

AFTER_DEADLINE_S = 0.1
ASKED, LONGER, PATIENT_MS = 4, 1.5, 1200
SOON_MS, SLOW_TRIES = 1500, 5
"""How long a saga takes that waits for nobody, many times over, and how often it may take longer on a busy machine."""


def happy(stage: Stage) -> None:
    """Nothing is broken; its user has tried before whether they can use what it gives them."""
    given = stage.make_input()
    if stage.access.usable(given):
        promise, expected = "what a saga gives its user is of no use before", "a refusal"
        stage.anomalies.append(Anomaly("SECURITY", "used-too-early", promise, expected, "that it works"))
    with _counted(stage, SagaState.COMPLETED, [(step, EXECUTE, False) for step in stage.saga.steps]):
        stage.wait_end(saga_id := stage.start(given))
    _demand_soon(stage, saga_id)
    if not stage.access.usable(given):
        promise, expected = "that something was refused before it was there is not remembered", "that it works"
        stage.anomalies.append(Anomaly("CACHE", "not-usable-yet", promise, expected, "a refusal"))


def _demand_soon(stage: Stage, saga_id: str) -> None:
    """Nobody who takes part waits for more to come, or for the next look, before they go on."""
    took = [_took_ms(stage, saga_id)]
    while min(took) > SOON_MS and len(took) < SLOW_TRIES:
        took.append(_took_ms(stage, stage.start()))
    if min(took) > SOON_MS:
        promise, expected = "a saga that nothing keeps waiting is over soon", f"within {SOON_MS} ms"
        seen = f"the quickest of {len(took)} took {min(took)} ms"
        stage.anomalies.append(Anomaly("PERF", "slow", promise, expected, seen, (f"saga {saga_id}",)))


def _took_ms(stage: Stage, saga_id: str) -> int:
    began, over = (
        stage.wait_for(saga_id, (MessageKind.EVENT, one)) for one in (stage.saga.started, stage.saga.completed)
    )
    return over.timestamp_ms - began.timestamp_ms


def refused(stage: Stage) -> None:
    """The participant refuses to do the step, for a reason of its business; not before it has it, nor afterwards.

    Afterwards it is started for the same subject, which nothing is in the way of, unless what refused it lasts.
    """
    given, done = stage.make_input(), stage.saga.before(stage.step.name)
    replies = [*((step, EXECUTE, False) for step in done), (stage.step, EXECUTE, True)]
    replies += [(step, COMPENSATE, False) for step in done if step.compensation]
    stage.wait_end(stage.start())
    with stage.access.refuse(stage.step.name, given), _counted(stage, SagaState.COMPENSATED, replies):
        stage.wait_end(stage.start(given, ends=COMPENSATED, refused=stage.step))
    lasts = stage.step.refusal is None or stage.step.refusal.lasts
    stage.wait_end(stage.start(stage.make_input(subject=None if lasts else given.subject)))


@contextmanager
def _counted(stage: Stage, state: SagaState | None, replies: Iterable[tuple[Step, str, bool]]) -> Iterator[None]:
    """Operators see in the metrics that one saga ends so, and each of its commands is answered so; anomalies are noted.

    Args:
        state: how it ends; None if it does not meanwhile.
        replies: of which step, to which action, and whether it is a refusal.
    """
    requests = stage.platform.requests
    figures = {f"saga that is {state}": partial(requests.ended, stage.orchestrator, state)} if state else {}
    for step, action, refused in replies:
        what = f"{step.name}.{action} that {step.participant} has {'refused' if refused else 'done'}"
        figures[what] = partial(requests.replied, step, action, refused=refused)
    before = {what: figure() for what, figure in figures.items()}
    yield
    promise = "a saga that ends, and a command that is answered, is counted once where operators look"
    for what, figure in figures.items():
        if (more := figure() - before[what]) != 1:
            expected = f"1 more {what}"
            stage.anomalies.append(Anomaly("PERF", "counted-wrong", promise, expected, f"{more:g} more"))


def undoing_refused(stage: Stage) -> None:
    """The participant refuses to undo the step, for a reason of its business; not before it has it, nor afterwards.

    What it has refused stays refused, however often it is asked for. What is left is in the way of nothing that is
    started for the same subject, but of the step itself, if that is refused to who has it already.
    """
    refuser = last_refusable(stage)
    for states, precondition in ((COMPENSATED, None), (FAILED, undo_refused), (COMPENSATED, None)):
        given, kept = stage.make_input(), [stage.step] if precondition else []
        with ExitStack() as stack:
            stack.enter_context(stage.access.refuse(refuser.name, given))
            if precondition:
                stack.enter_context(precondition(stage, stage.step, given))
                stack.enter_context(_counted(stage, SagaState.FAILED, [(stage.step, COMPENSATE, True)]))
            saga_id = stage.start(given, ends=states, refused=refuser, kept=kept)
            stage.wait_end(saga_id)
        if precondition:
            wait_sent(stage, stage.step.participant)
            redelivered(stage, stage.command(saga_id, stage.step, COMPENSATE))
            stage.reply(saga_id, stage.step, COMPENSATE, count=2)
            again, taken = stage.make_input(subject=given.subject), stage.step.refusal
            if taken and not taken.limit:
                stage.wait_end(stage.start(again, ends=COMPENSATED, refused=stage.step))
            else:
                stage.wait_end(stage.start(again))


def hangs(stage: Stage, saga_id: str, frozen: NodeFault) -> None:
    """The participant hangs until it is asked again; the first one longer, and is asked more and more rarely."""
    if not stage.undoing and stage.step == stage.saga.steps[0]:
        _demand_longer_pauses(stage, saga_id)
    stage.command(saga_id, stage.step, stage.action, count=2)
    frozen.heal()
    stage.wait_for(saga_id, answer(stage))


def _demand_longer_pauses(stage: Stage, saga_id: str) -> None:
    asked = [stage.command(saga_id, stage.step, count=number + 1) for number in range(ASKED)]
    pauses = [later.timestamp_ms - one.timestamp_ms for one, later in pairwise(asked)]
    if pauses[-1] < LONGER * min(pauses[:-1]) or sum(pauses) < PATIENT_MS:
        promise = "who does not answer is asked again after a while, and more and more rarely"
        expected = f"{PATIENT_MS} ms in all, at last more than {LONGER:g} times an earlier pause"
        seen = f"pauses of {pauses} ms"
        stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, seen, witness(asked)))


def stopped_at_work(stage: Stage, saga_id: str, frozen: NodeFault) -> None:
    """The participant is told to shut down while its command is at hand."""
    participant = stage.step.participant
    frozen.heal()
    with stopped(stage, participant) as fault:
        demand_clean_exit(stage, fault)
    stage.wait_for(saga_id, answer(stage))


def forgotten_by_the_broker(stage: Stage) -> None:
    """While a participant is down the broker forgets how far it has read, and its command arrives."""
    for step in stage.saga.steps:
        if step.participant != stage.saga.entrance:
            stage.cell.barrier(WAIT_S)
            with stopped(stage, step.participant) as down:
                group_forgotten(stage, step.participant)
                saga_id = stage.start()
                stage.command(saga_id, step)
                with suspended(stage, stage.orchestrator):
                    down.heal()
                    stage.reply(saga_id, step)
                stage.wait_end(saga_id)


def stopped_in_transaction(stage: Stage) -> None:
    """The participant is told to shut down while its transaction waits, for a moment, and for longer than it may."""
    _demand_told(stage)
    with held(stage, stage.step.participant, Write.BUSINESS) as block:
        saga_id = stage.start()
        block.wait_blocked(timeout_s=WAIT_S)
        stopped_over(stage, stage.step.participant, "its transaction", block.release)
    stage.wait_end(saga_id)


def _demand_told(stage: Stage) -> None:
    """What a service gets done while it shuts down it tells before it exits; on a busy machine not at the first try."""
    left = _left_untold(stage)
    for _ in range(TRIES - 1):
        left = left and _left_untold(stage)
    if left:
        promise = "what a service gets done while it shuts down it tells before it exits"
        expected, seen = f"it is sent in one of {TRIES} tries", f"{len(left)} left in the outbox of {left[0].service}"
        stage.anomalies.append(Anomaly("BUS", "left-untold", promise, expected, seen, (f"{left[0].message_id}",)))


def _left_untold(stage: Stage) -> tuple[OutboxRow, ...]:
    """What the participant still holds back when it has exited that was let go on as soon as it began to shut down."""
    participant, outbox = stage.step.participant, stage.platform.outbox
    with held(stage, participant, Write.BUSINESS) as block:
        saga_id = stage.start()
        block.wait_blocked(timeout_s=WAIT_S)
        left = shut_down_over(stage, participant, block.release, lambda: outbox.held_back(participant, stage.tenant))
    stage.wait_end(saga_id)
    return left


def killed_when_asked(stage: Stage, saga_id: str, _: NodeFault) -> None:
    """The participant is killed when its command has arrived."""
    with suspended(stage, stage.orchestrator):
        with killed(stage, stage.step.participant):
            pass
        stage.wait_for(saga_id, answer(stage))


def killed_in_transaction(stage: Stage, saga_id: str, frozen: NodeFault) -> None:
    """The participant is killed at the last write of its transaction."""
    with suspended(stage, stage.orchestrator):
        with held(stage, stage.step.participant, Write.OUTBOX) as block:
            frozen.heal()
            _kill_at(stage, saga_id, block)
        stage.wait_for(saga_id, answer(stage))


def killed_at_commit(stage: Stage, saga_id: str, frozen: NodeFault) -> None:
    """The participant is killed when its commit is durable, before it is told so."""
    with suspended(stage, stage.orchestrator):
        with commits_held(stage, stage.step.participant) as block:
            frozen.heal()
            _kill_at(stage, saga_id, block)
        stage.wait_for(saga_id, answer(stage))


def transaction_broken_off(stage: Stage, saga_id: str, frozen: NodeFault) -> None:
    """The participant's connection to its database is cut in its transaction, which does not count then."""
    repeated, participant = stage.platform.requests.repeated, stage.step.participant
    before = 0.0

    def begin() -> None:
        nonlocal before
        frozen.heal()
        before = repeated(participant)
        counting.enter_context(_counted(stage, None, [(stage.step, stage.action, False)]))

    with suspended(stage, stage.orchestrator), ExitStack() as counting:
        break_off_writes(
            stage,
            participant,
            begin=begin,
            look=lambda: demand_silence(stage, saga_id),
            done=lambda: stage.has(saga_id, answer(stage)),
        )
        stage.wait_for(saga_id, answer(stage))
    if repeated(participant) > before:
        demand_logged(stage, saga_id)


def _kill_at(stage: Stage, saga_id: str, block: EffectBlock) -> None:
    block.wait_blocked(timeout_s=WAIT_S)
    demand_silence(stage, saga_id)
    with killed(stage, stage.step.participant):
        block.release()


def deadline_passes(stage: Stage) -> None:
    """The participant hangs until the saga's deadline has passed, and does its step then.

    The pivot has been asked for very often by then, and is asked for again.
    """
    forward_only = stage.step.name == stage.saga.pivot

    def then(saga_id: str, passes_at: float) -> None:
        if forward_only:
            wait_past(passes_at + AFTER_DEADLINE_S, "the deadline to pass")
            demand_asked_on(stage, saga_id, EXECUTE)
            demand_let_be(stage, saga_id)
        else:
            stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed))

    before_deadline(stage, COMPLETED if forward_only else COMPENSATED, then)
