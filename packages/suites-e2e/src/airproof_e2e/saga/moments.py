"""Moments of a saga at which scenarios break something: a participant has been asked and nothing of it counts yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from airproof.checkers.view import EXECUTE
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.platform.manifest import Step
from airproof.platform.observation import MessageKind, SagaState
from airproof_e2e.saga.breakage import held, suspended
from airproof_e2e.saga.stage import COMPENSATED, Stage, Talk

DEADLINES_S = (0.5, 2.0, 8.0)


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


@contextmanager
def asked_to_do(stage: Stage, start: Callable[[], str]) -> Iterator[tuple[str, NodeFault]]:
    """The participant is frozen before it can do the step of the saga that is started.

    One that takes the start itself cannot be frozen before; its first write is held until it is.
    """
    participant = stage.step.participant
    if participant != stage.saga.entrance:
        with suspended(stage, participant) as frozen:
            yield start(), frozen
    else:
        with held(stage, participant, Write.BUSINESS) as block:
            saga_id = start()
            with suspended(stage, participant) as frozen:
                block.release()
                yield saga_id, frozen


def before_deadline(stage: Stage, ends: frozenset[SagaState], then: Callable[[str, float], None]) -> None:
    """Has a participant that is frozen asked for the step before the saga's deadline.

    A slow machine may not get to the step before a short deadline; then that saga is undone, and a longer one is tried.

    Args:
        then: what happens next, while the participant is frozen; gets the saga's id and the monotonic time at which
            its deadline passes.

    Raises:
        FaultNotObserved: no saga got so far.
    """
    for deadline_s in DEADLINES_S:
        with asked_to_do(stage, partial(stage.start, deadline_s=deadline_s, ends=ends)) as (saga_id, _):
            passes_at = time.monotonic() + deadline_s
            try:
                stage.wait_for(saga_id, (MessageKind.COMMAND, f"{stage.step.name}.{EXECUTE}"), timeout_s=deadline_s)
            except WaitTimeout:
                stage.may_end(saga_id, COMPENSATED)
            else:
                return then(saga_id, passes_at)
    raise FaultNotObserved(f"no saga reached {stage.step.name} before its deadline of {DEADLINES_S[-1]:g} s")


@contextmanager
def turning_back(stage: Stage) -> Iterator[tuple[str, Callable[[], None]]]:
    """All steps but the last that may be refused are done. Yields the saga's id and what lets that one be refused."""
    refuser, given = last_refusable(stage), stage.make_input()
    with stage.access.refuse(refuser.name, given), suspended(stage, refuser.participant) as frozen:
        saga_id = stage.start(given, ends=COMPENSATED, refused=refuser)
        stage.command(saga_id, refuser)
        yield saga_id, frozen.heal
        frozen.heal()
        stage.wait_end(saga_id)


def last_refusable(stage: Stage) -> Step:
    """The last step that a participant may refuse, so that as many as possible are undone."""
    return [step for step in stage.saga.steps if step.refusal][-1]


def answer(stage: Stage) -> Talk:
    """The participant's reply."""
    return (MessageKind.REPLY, f"{stage.step.name}.{stage.action}")


def demand_silence(stage: Stage, saga_id: str) -> None:
    """Nothing that the participant does is on the bus while its transaction is open."""
    step = stage.step
    undone = step.compensation.event if step.compensation else ""
    event = (MessageKind.EVENT, undone if stage.undoing else step.event)
    stage.demand_silence(saga_id, [event, answer(stage)], f"while {step.participant} has not committed")
