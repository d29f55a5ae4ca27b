"""What scenarios do with rules that forbid to undo something, at the moment when that is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE
from airproof.errors import WaitTimeout
from airproof.platform.driver import SagaInput, Tenant
from airproof.platform.manifest import Step
from airproof.platform.observation import MessageKind
from airproof.wire import AppliedRule, on, postgres
from airproof.wire.building import Selected
from airproof_e2e.saga.breakage import frozen_at_rest, undo_refused
from airproof_e2e.saga.messages import DATABASE, applied
from airproof_e2e.saga.moments import last_refusable, undoable
from airproof_e2e.saga.stage import COMPENSATED, FAILED, WAIT_S, Stage

LOOKS_AROUND_S, FOR_OTHERS_S, OUTLASTS_S = 0.1, 3.0, 6.0
"""The last is longer than most leases with which services lock each other out."""


def set_while_undoing(stage: Stage) -> None:
    """Every participant has found nothing that forbids to undo its step when an operator forbids that.

    The first of them is at it for very long. Beside that the operator forbids it for another tenant, and allows it
    again.
    """
    given, refuser = stage.make_input(), last_refusable(stage)
    forbidden = _forbidden(stage)
    with ExitStack() as rules, stage.access.refuse(refuser.name, given):
        undone = {step.name: rules.enter_context(applied(stage, _undoing(stage, step).hold())) for step in forbidden}
        saga_id = stage.start(given, ends=COMPENSATED, refused=refuser)
        for step in reversed(forbidden):
            looks_s = OUTLASTS_S if step is forbidden[-1] else LOOKS_AROUND_S
            _forbid(stage, step, given, undone[step.name], looks_s)
        stage.wait_end(saga_id)


def set_before_undoing(stage: Stage) -> None:
    """An operator's rule that forbids to undo a step is set but for its commit when the participant is asked to."""
    given, refuser = stage.make_input(), last_refusable(stage)
    step = [one for one in _forbidden(stage) if one.participant != refuser.participant][-1]
    link, mine = on(step.participant, DATABASE), stage.tenant.id
    with ExitStack() as rules, ThreadPoolExecutor(1, thread_name_prefix="operator") as operator:
        rules.enter_context(stage.access.refuse(refuser.name, given))
        frozen = rules.enter_context(frozen_at_rest(stage, refuser.participant))
        saga_id = stage.start(given, ends=FAILED, refused=refuser, kept=[step])
        stage.command(saga_id, refuser)
        with applied(stage, link.when(postgres.commit(containing=mine)).times(1).hold()) as held:
            forbidding = operator.submit(rules.enter_context, undo_refused(stage, step, given))
            held.wait_until_held(WAIT_S)
            with applied(stage, link.when(postgres.query(containing=mine)).observe()) as asked:
                frozen.heal()
                asked.wait_until_fired(WAIT_S)
                undone_before = _undone(stage, saga_id, step)
            held.release()
            forbidding.result(WAIT_S)
        stage.wait_end(saga_id)
    if undone_before:
        stage.may_end(saga_id, COMPENSATED)
    elif not stage.access.effect(step.name, saga_id):
        _note_done(stage, step)


def _forbidden(stage: Stage) -> list[Step]:
    """The steps that an operator can forbid to undo."""
    return [step for step in undoable(stage.saga) if step.compensation and step.compensation.refusal]


def _undone(stage: Stage, saga_id: str, step: Step) -> bool:
    """Whether the step is undone without waiting for anybody."""
    try:
        stage.wait_for(saga_id, (MessageKind.REPLY, f"{step.name}.{COMPENSATE}"), timeout_s=LOOKS_AROUND_S)
    except WaitTimeout:
        return False
    return True


def _undoing(stage: Stage, step: Step) -> Selected:
    """The commit that undoes the step."""
    event = step.compensation.event if step.compensation else ""
    return on(step.participant, DATABASE).when(postgres.commit(containing=[stage.tenant.id, event])).times(1)


def _forbid(stage: Stage, step: Step, given: SagaInput, undoing: AppliedRule, looks_s: float) -> None:
    undoing.wait_until_held(WAIT_S)
    with ThreadPoolExecutor(2, thread_name_prefix="operator") as operator, ExitStack() as rule:
        forbidding = operator.submit(rule.enter_context, stage.access.refuse_compensation(step.name, given))
        # Who waits for what is under way is answered after it; who does not has been by then.
        wait([forbidding], looks_s)
        if forbidding.done() and not forbidding.exception():
            _note_done(stage, step)
        beside = operator.submit(_forbid_for_another, stage, step)
        in_time = not wait([beside], FOR_OTHERS_S).not_done
        undoing.release()
        forbidding.result(WAIT_S)
        beside.result(WAIT_S)
    if not in_time:
        promise = "what is under way for one tenant keeps no operator waiting who asks for something for another"
        expected, seen = f"an answer within {FOR_OTHERS_S:g} s", f"none while {step.name} is being undone"
        stage.anomalies.append(Anomaly("TENANCY", "waits-for-another", promise, expected, seen, (step.participant,)))


def _forbid_for_another(stage: Stage, step: Step) -> None:
    other = stage.make_input(tenant=Tenant(f"{stage.tenant.id}-other"))
    with stage.access.refuse_compensation(step.name, other):
        pass


def _note_done(stage: Stage, step: Step) -> None:
    promise = f"an operator who is told that undoing {step.name} is forbidden can rely on it"
    expected, seen = "an answer when nothing of it is under way", "an answer, and it was undone after that"
    stage.anomalies.append(Anomaly("DBTX", "forbidden-and-done", promise, expected, seen))
