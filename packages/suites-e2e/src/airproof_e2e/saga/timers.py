"""What scenarios do to timers, which give a saga up at its deadline: late, hidden, of an instance that hangs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import uuid4

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE, EXECUTE
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.platform.observation import MessageKind
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, on, postgres
from airproof_e2e.saga.breakage import frozen_at_rest, held, killed, of_another_version, others_waiting, timers_late
from airproof_e2e.saga.log_lines import wait_error
from airproof_e2e.saga.messages import DATABASE, GIVES_UP_WITHIN_S, LOOKS_WITHIN_S, applied
from airproof_e2e.saga.moments import asked_to_do, before_deadline, wait_past
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

NO_LATER_S = 2.0
OFTEN, FIRST_PAUSE_S, SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1000, 2.0, 1.0, 60.0
DEADLINES_S, ASKED_AGAIN_S = (1.0, 3.0, 8.0), 0.4
OTHERS = 60
"""More than a platform looks at at a time."""


def late(stage: Stage) -> None:
    """The saga's timers are late: when the participant answers, nobody has noticed that the deadline has passed."""

    def then(saga_id: str, passes_at: float) -> bool:
        with timers_late(stage, saga_id):
            wait_past(passes_at, "the deadline to pass")
            return not stage.has(saga_id, (MessageKind.EVENT, stage.saga.failed))

    before_deadline(stage, COMPENSATED, then)


def among_others(stage: Stage) -> None:
    """While the participant hangs many older sagas wait, and as many are due that another version has left.

    The saga itself is like one of these when it is looked at first.
    """

    def then(saga_id: str, _: float) -> None:
        with of_another_version(stage, saga_id):
            wait_error(stage, stage.orchestrator, "a saga that another version has left")
        with others_waiting(stage, OTHERS):
            stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed))

    before_deadline(stage, COMPENSATED, then, DEADLINES_S)


def asked_often(stage: Stage) -> None:
    """The participant has been asked very often when the deadline passes, and again when it is to undo its step."""

    def then(saga_id: str, passes_at: float) -> None:
        demand_asked_on(stage, saga_id, EXECUTE)
        in_time_s = max(passes_at - time.monotonic(), 0) + NO_LATER_S
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed), timeout_s=in_time_s)
        stage.command(saga_id, stage.step, COMPENSATE)
        _demand_asked_within(stage, saga_id, FIRST_PAUSE_S)
        demand_asked_on(stage, saga_id, COMPENSATE)
        _demand_asks_counted(stage, saga_id)
        _demand_asked_rarely(stage, saga_id)
        demand_let_be(stage, saga_id)

    before_deadline(stage, COMPENSATED, then, DEADLINES_S, left_s=ASKED_AGAIN_S)


def demand_asked_on(stage: Stage, saga_id: str, action: str) -> None:
    """Who has not answered for long is asked again, and will be."""
    stage.access.ask_often(saga_id, stage.step.name, OFTEN)
    stage.command_again(saga_id, stage.step, action)
    # That one may have been asked before.
    with suppress(WaitTimeout):
        asked = f"{stage.step.participant} to be asked once more"
        wait_until(lambda: _asked(stage, saga_id) > OFTEN, timeout_s=FIRST_PAUSE_S, describe=asked)
    _demand_asked_within(stage, saga_id, LONGEST_PAUSE_S)


def _demand_asked_within(stage: Stage, saga_id: str, most_s: float) -> None:
    if (pause_s := stage.access.next_look_s(saga_id)) > most_s:
        promise = "who does not answer is asked on, at first soon, and never after a pause without end"
        expected, seen = f"again within {most_s:g} s", f"again in {pause_s:g} s"
        stage.anomalies.append(Anomaly("XSERVICE", "asked-late", promise, expected, seen, (f"saga {saga_id}",)))


def _asked(stage: Stage, saga_id: str) -> int:
    return stage.access.asked(saga_id, stage.step.name)


def _demand_asks_counted(stage: Stage, saga_id: str) -> None:
    """Of the asks that were sent since they were set to so many, one at least."""
    if (asked := _asked(stage, saga_id)) <= OFTEN:
        promise = "how often somebody was asked is remembered, so that pauses grow and operators see who is silent"
        expected, seen = f"more than {OFTEN} asks", f"{asked}, when {stage.step.participant} was asked once more"
        stage.anomalies.append(Anomaly("SAGA", "asks-not-counted", promise, expected, seen, (f"saga {saga_id}",)))


def _demand_asked_rarely(stage: Stage, saga_id: str) -> None:
    if (pause_s := stage.access.next_look_s(saga_id)) < SHORTEST_PAUSE_S:
        promise = "who does not answer is asked more and more rarely, also to undo something"
        expected, seen = f"after {SHORTEST_PAUSE_S:g} s or more, {OFTEN} tries later", f"after {pause_s:.2f} s"
        stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, seen, (f"saga {saga_id}",)))


def demand_let_be(stage: Stage, saga_id: str) -> None:
    """A saga of which somebody has just been asked for something is not looked at before they are to be asked again."""
    if (next_s := stage.access.next_look_s(saga_id)) <= 0:
        promise = "a saga is looked at when there is something to be done for it, and not again and again until then"
        expected, seen = f"the next look when {stage.step.participant} has not answered", f"due for {-next_s:.1f} s"
        stage.anomalies.append(Anomaly("PERF", "looked-at-in-vain", promise, expected, seen, (f"saga {saga_id}",)))


def contested(stage: Stage) -> None:
    """What the orchestrator does at the deadline is broken off; when it does it again the reply comes meanwhile."""
    if not any(_contested(stage, deadline_s) for deadline_s in DEADLINES_S):
        raise FaultNotObserved(f"no saga reached {stage.step.name} before its deadline of {DEADLINES_S[-1]:g} s")


def _contested(stage: Stage, deadline_s: float) -> bool:
    """Whether the participant was asked before the deadline."""
    link, told = on(stage.orchestrator, DATABASE), [key := f"key-{uuid4()}", stage.saga.failed]
    start = partial(stage.start, key=key, deadline_s=deadline_s, ends=COMPENSATED)
    broken_off = link.when(postgres.query(containing=told)).times(1).reset()
    late = link.when(postgres.commit(containing=told)).times(1).hold()
    with applied(stage, broken_off), applied(stage, late) as held_up, asked_to_do(stage, start) as (saga_id, hanging):
        held_up.wait_until_held(deadline_s + GIVES_UP_WITHIN_S)
        if in_time := stage.has(saga_id, (MessageKind.COMMAND, f"{stage.step.name}.{EXECUTE}")):
            _meet_the_reply(stage, saga_id, hanging, held_up)
    stage.wait_end(saga_id)
    return in_time


def _meet_the_reply(stage: Stage, saga_id: str, hanging: NodeFault, held_up: AppliedRule) -> None:
    """The participant answers while the orchestrator is held up, and is let go on when it has looked at the answer."""
    looks = on(stage.orchestrator, DATABASE).when(postgres.query(containing=saga_id)).observe().preventable()
    with applied(stage, looks) as seen:
        hanging.heal()
        stage.reply(saga_id, stage.step)
        with suppress(WaitTimeout):
            seen.wait_until_fired(LOOKS_WITHIN_S)
        held_up.release()


def beside_a_reply(stage: Stage) -> None:
    """The participant hangs until the orchestrator is about to ask it again, and answers then."""
    key = f"key-{uuid4()}"
    asking = postgres.commit(containing=[key, stage.step.name])
    late = on(stage.orchestrator, DATABASE).when(asking).times(1).hold()
    with asked_to_do(stage, partial(stage.start, key=key)) as (saga_id, hanging):
        stage.command(saga_id, stage.step)
        with applied(stage, late) as held_up:
            held_up.wait_until_held(WAIT_S)
            _meet_the_reply(stage, saga_id, hanging, held_up)
    stage.wait_end(saga_id)


def of_a_lost_instance(stage: Stage) -> None:
    """One instance after the other hangs when a saga that the first has started is to be given up.

    All but the first have only just come back. Who hangs stays connected, and keeps whatever it has reserved.
    """
    own, *others = [node.name for node in stage.cell.description.instances(stage.orchestrator)]
    with held(stage, stage.saga.steps[0].participant, Write.BUSINESS):
        for other in others:
            with killed(stage, other):
                pass
        for deadline_s in DEADLINES_S:
            if _given_up_without(stage, [own, *others], deadline_s):
                return
    raise FaultNotObserved(f"no instance hung before a deadline of {DEADLINES_S[-1]:g} s")


def _given_up_without(stage: Stage, nodes: Sequence[str], deadline_s: float) -> bool:
    """Has each instance hang when a saga is given up, one after the other; false if a deadline has passed before."""
    first, failed = stage.saga.steps[0], (MessageKind.EVENT, stage.saga.failed)
    deadlines_s = [deadline_s * (1 + number / 2) for number in range(len(nodes))]
    started = [stage.start(deadline_s=one, ends=COMPENSATED) for one in deadlines_s]
    for saga_id in started:
        stage.command(saga_id, first)
    wait_sent(stage, stage.orchestrator)
    for node, saga_id in zip(nodes, started, strict=True):
        with frozen_at_rest(stage, stage.orchestrator, node):
            if stage.has(saga_id, failed):
                return False
            stage.wait_for(saga_id, failed)
    return True
