"""Several instances of one service, which share its database and its consumer group."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from airproof.checkers.verdict import Anomaly
from airproof.errors import FaultNotObserved
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import FREEZES_AT_MOST, commits_held, held, suspended
from airproof_e2e.saga.moments import answer
from airproof_e2e.saga.stage import WAIT_S, Stage

STREAMS = 8


def share_an_outbox(stage: Stage) -> None:
    """All instances of a service come to take from its outbox at the same moment, several times."""
    service = stage.orchestrator
    put: set[str] = set()
    with ExitStack() as frozen:
        instances = _frozen_at_rest(stage, service, frozen)
        for _ in range(STREAMS):
            put.update(stage.platform.outbox.put_stream(service, stage.tenant, [10]))
        with held(stage, service, Write.CLAIM) as block:
            for instance in instances:
                instance.heal()
            together = f"{len(instances)} instances of {service} to look into the outbox"
            wait_until(lambda: block.waiting() >= len(instances), timeout_s=WAIT_S, describe=together)
    stage.allowance.foreign.update(put)
    stage.wait_end(stage.start())
    wait_until(
        lambda: not stage.platform.outbox.held_back(service, stage.tenant),
        timeout_s=WAIT_S,
        describe=f"{service} to have sent what it holds",
    )
    sent = Counter(one.message_id for one in stage.access.observe(stage.tenant).bus if one.message_id in put)
    twice = sorted(id_ for id_, times in sent.items() if times > 1)
    if twice:
        promise = "one instance of a service sends what waits in its outbox"
        seen = f"{len(twice)} of {len(put)} sent more than once"
        stage.anomalies.append(Anomaly("OUTBOX", "sent-twice", promise, "each once", seen, tuple(twice[:3])))


def _frozen_at_rest(stage: Stage, service: str, frozen: ExitStack) -> list[NodeFault]:
    """Suspends all instances of a service between two transactions."""
    for _ in range(FREEZES_AT_MOST):
        with ExitStack() as stack:
            nodes = stage.cell.description.instances(service)
            faults = [stack.enter_context(suspended(stage, node.name)) for node in nodes]
            if not stage.access.in_transaction(service):
                frozen.push(stack.pop_all())
                return faults
    raise FaultNotObserved(f"{service} was in a transaction each of the {FREEZES_AT_MOST} times that it was frozen")


def frozen_at_commit(stage: Stage, saga_id: str, asked: NodeFault) -> None:
    """The instance that does the step is frozen when its commit is durable, before it is told so."""
    with commits_held(stage, stage.step.participant) as block:
        asked.heal()
        block.wait_blocked(timeout_s=WAIT_S)
        with suspended(stage, stage.step.participant):
            block.release()
            stage.wait_for(saga_id, answer(stage))
