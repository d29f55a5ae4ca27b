"""Moments of a saga at which scenarios break something: a participant has been asked and nothing of it counts yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import zip_longest

from airproof.cells.logs import ERRORS, parse
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import EXECUTE, witness
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.platform.manifest import Saga, Step
from airproof.platform.observation import MessageKind, SagaState
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import frozen_at_rest, held, suspended
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage, Talk

DEADLINES_S = (0.3, 2.0, 8.0)
TROUBLES = ERRORS | {"warning"}
Body = Callable[[Stage, str, NodeFault], None]
"""What happens at a step: gets the stage at that step, the saga's id and the participant, frozen and asked."""


@contextmanager
def asked(stage: Stage) -> Iterator[tuple[str, NodeFault]]:
    """The participant is frozen and its command, to do or to undo the step, lies on the bus. Yields the saga's id."""
    if stage.undoing:
        with turning_back(stage) as (saga_id, turn), suspended(stage, stage.step.participant) as frozen:
            turn()
            stage.command(saga_id, stage.step, stage.action)
            yield saga_id, frozen
    else:
        with asked_to_do(stage, stage.start) as (saga_id, frozen):
            stage.command(saga_id, stage.step)
            yield saga_id, frozen


def in_turn(stage: Stage, body: Body) -> str:
    """One saga, in which every participant in turn is frozen when it is asked, and the body has it answer.

    A participant that is asked twice in a row cannot be frozen for the second time before it is asked; it is let be.
    """
    if stage.undoing:
        order = list(reversed(undoable(stage.saga)))
        with turning_back(stage) as (saga_id, turn), ExitStack() as frozen:
            first = frozen.enter_context(frozen_at_rest(stage, order[0].participant))
            turn()
            _one_after_another(stage, saga_id, order, first, frozen, body)
    else:
        with asked_to_do(stage.at(stage.saga.steps[0]), stage.start) as (saga_id, first), ExitStack() as frozen:
            _one_after_another(stage, saga_id, stage.saga.steps, first, frozen, body)
    return saga_id


def _one_after_another(
    stage: Stage, saga_id: str, order: Sequence[Step], first: NodeFault, frozen: ExitStack, body: Body
) -> None:
    present: NodeFault | None = first
    for step, later in zip_longest(order, order[1:]):
        stage.command(saga_id, step, stage.action)
        following: NodeFault | None = None
        if later and later.participant != step.participant:
            following = frozen.enter_context(frozen_at_rest(stage, later.participant))
        if present:
            body(stage.at(step), saga_id, present)
        present = following


def undoable(saga: Saga) -> list[Step]:
    """The steps that are undone when the last one that may be refused is."""
    refusable = [step.name for step in saga.steps if step.refusal]
    return [step for step in saga.before(refusable[-1]) if step.compensation] if refusable else []


def at_each_instance(stage: Stage, step: Step, start: Callable[[], str]) -> list[str]:
    """Starts sagas until each instance of the step's participant was asked for it, and returns their ids.

    What is about one saga has one key, so where all topics have as many partitions that is so for all their steps.
    """
    instances = len(stage.cell.description.instances(step.participant))
    started, partitions = list[str](), set[int]()
    while len(partitions) < instances:
        started.append(start())
        partitions.add(stage.command(started[-1], step).partition)
    return started


def services_of(saga: Saga) -> list[str]:
    """The participants and the orchestrator, each once."""
    return list(dict.fromkeys([*(step.participant for step in saga.steps), saga.orchestrator]))


@contextmanager
def asked_to_do(stage: Stage, start: Callable[[], str]) -> Iterator[tuple[str, NodeFault]]:
    """The participant is frozen before it can do the step of the saga that is started.

    One that takes the start itself cannot be frozen before; its first write is held until it is.
    """
    participant = stage.step.participant
    if participant != stage.saga.entrance:
        with frozen_at_rest(stage, participant) as frozen:
            yield start(), frozen
    else:
        with held(stage, participant, Write.BUSINESS) as block:
            saga_id = start()
            with suspended(stage, participant) as frozen:
                block.release()
                yield saga_id, frozen


def before_deadline(
    stage: Stage,
    ends: frozenset[SagaState],
    then: Callable[[str, float], bool | None],
    deadlines_s: Sequence[float] = DEADLINES_S,
    *,
    left_s: float = 0,
) -> None:
    """Has a participant that is frozen asked for the step before the saga's deadline.

    A slow machine may not get to the step before a short deadline, or tell so too late; then that saga may be undone,
    and a longer one is tried.

    Args:
        then: what happens next, while the participant is frozen; gets the saga's id and the monotonic time at which
            its deadline passes. False where that has passed too soon.
        left_s: how much time has to be left until the deadline when the participant is asked.

    Raises:
        FaultNotObserved: no saga got so far.
    """
    for deadline_s in deadlines_s:
        with asked_to_do(stage, partial(stage.start, deadline_s=deadline_s, ends=ends)) as (saga_id, _):
            passes_at = time.monotonic() + deadline_s
            try:
                stage.wait_for(
                    saga_id, (MessageKind.COMMAND, f"{stage.step.name}.{EXECUTE}"), timeout_s=deadline_s - left_s
                )
            except WaitTimeout:
                in_time = False
            else:
                in_time = then(saga_id, passes_at) is not False
            if in_time:
                return
            stage.may_end(saga_id, COMPENSATED | ends)
    raise FaultNotObserved(f"no saga reached {stage.step.name} before its deadline of {deadlines_s[-1]:g} s")


@contextmanager
def turning_back(stage: Stage) -> Iterator[tuple[str, Callable[[], None]]]:
    """All steps but the last that may be refused are done. Yields the saga's id and what lets that one be refused."""
    refuser, given = last_refusable(stage), stage.make_input()
    with stage.access.refuse(refuser.name, given), frozen_at_rest(stage, refuser.participant) as frozen:
        saga_id = stage.start(given, ends=COMPENSATED, refused=refuser)
        stage.command(saga_id, refuser)
        yield saga_id, frozen.heal
        frozen.heal()
        stage.wait_end(saga_id)


def last_refusable(stage: Stage) -> Step:
    """The last step that a participant may refuse, so that as many as possible are undone."""
    return [step for step in stage.saga.steps if step.refusal][-1]


def wait_past(moment_s: float, describe: str) -> None:
    """Waits until that moment of the monotonic clock is over."""
    left_s = max(moment_s - time.monotonic(), 0)
    wait_until(lambda: time.monotonic() > moment_s, timeout_s=left_s + WAIT_S, describe=describe)


def answer(stage: Stage) -> Talk:
    """The participant's reply."""
    return (MessageKind.REPLY, f"{stage.step.name}.{stage.action}")


def demand_silence(stage: Stage, saga_id: str) -> None:
    """Nothing that the participant does is on the bus while its transaction is open."""
    step = stage.step
    undone = step.compensation.event if step.compensation else ""
    event = (MessageKind.EVENT, undone if stage.undoing else step.event)
    stage.demand_silence(saga_id, [event, answer(stage)], f"while {step.participant} has not committed")


def demand_logged(stage: Stage, saga_id: str) -> None:
    """That the participant has tried in vain is found in its log by who looks for the saga there."""
    participant, command = stage.step.participant, stage.command(saga_id, stage.step, stage.action)
    lines = [line for line in stage.log_lines() if line.node == participant]
    troubles = [line.text for line in lines if parse(line).level in TROUBLES]
    known = {"GATEWAY": ("correlation id", command.correlation_id), "TENANCY": ("tenant", stage.tenant.id)}
    for category, (what, sought) in known.items():
        if stage.cell.capabilities.logs and not any(sought in text for text in troubles):
            promise, expected = f"that a try has failed is logged under the {what} of its saga", f"a line with {sought}"
            seen, facts = f"none of {len(troubles)} of {participant} about troubles", witness(troubles[-1:])
            stage.anomalies.append(Anomaly(category, "not-to-be-found", promise, expected, seen, facts))
