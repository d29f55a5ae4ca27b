"""What scenarios do with rules that forbid to undo something, at the moment when that is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from airproof.checkers.verdict import Anomaly
from airproof.platform.driver import SagaInput
from airproof.platform.manifest import Step
from airproof.wire import AppliedRule, on, postgres
from airproof.wire.building import Selected
from airproof_e2e.saga.messages import DATABASE, applied
from airproof_e2e.saga.moments import last_refusable, undoable
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

LOOKS_AROUND_S = 0.1


def set_while_undoing(stage: Stage) -> None:
    """Every participant has found nothing that forbids to undo its step when an operator forbids that."""
    given, refuser = stage.make_input(), last_refusable(stage)
    forbidden = [step for step in undoable(stage.saga) if step.compensation and step.compensation.refusal]
    with ExitStack() as rules, stage.access.refuse(refuser.name, given):
        undone = {step.name: rules.enter_context(applied(stage, _undoing(stage, step).hold())) for step in forbidden}
        saga_id = stage.start(given, ends=COMPENSATED, refused=refuser)
        for step in reversed(forbidden):
            _forbid(stage, step, given, undone[step.name])
        stage.wait_end(saga_id)


def _undoing(stage: Stage, step: Step) -> Selected:
    """The commit that undoes the step."""
    event = step.compensation.event if step.compensation else ""
    return on(step.participant, DATABASE).when(postgres.commit(containing=[stage.tenant.id, event])).times(1)


def _forbid(stage: Stage, step: Step, given: SagaInput, undoing: AppliedRule) -> None:
    undoing.wait_until_held(WAIT_S)
    with ThreadPoolExecutor(1, thread_name_prefix="operator") as operator, ExitStack() as rule:
        forbidding = operator.submit(rule.enter_context, stage.access.refuse_compensation(step.name, given))
        # Who waits for what is under way is answered after it; who does not has been by then.
        wait([forbidding], LOOKS_AROUND_S)
        if forbidding.done() and not forbidding.exception():
            promise = f"an operator who is told that undoing {step.name} is forbidden can rely on it"
            expected, seen = "an answer when nothing of it is under way", "an answer, and it was undone after that"
            stage.anomalies.append(Anomaly("DBTX", "forbidden-and-done", promise, expected, seen))
        undoing.release()
        forbidding.result(WAIT_S)
