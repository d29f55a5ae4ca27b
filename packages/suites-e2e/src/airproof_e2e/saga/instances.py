"""Several instances of one service, which share its database and its consumer group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from airproof.checkers.verdict import Anomaly
from airproof.errors import FaultNotObserved
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import FREEZES_AT_MOST, commits_held, held, killed, suspended
from airproof_e2e.saga.moments import answer
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.stage import WAIT_S, Stage

STREAMS, OF_ONE_KEY, SIZE = 8, 3, 10
LONG_S = 60.0


def share_an_outbox(stage: Stage) -> None:
    """All instances of a service come to take from its outbox at the same moment, several times."""
    service = stage.orchestrator
    put: set[str] = set()
    with ExitStack() as frozen:
        instances = _frozen_at_rest(stage, service, frozen)
        for _ in range(STREAMS):
            put.update(stage.platform.outbox.put_stream(service, stage.tenant, [SIZE]))
        with held(stage, service, Write.CLAIM) as block:
            for instance in instances:
                instance.heal()
            together = f"{len(instances)} instances of {service} to look into the outbox"
            wait_until(lambda: block.waiting() >= len(instances), timeout_s=WAIT_S, describe=together)
    stage.allowance.foreign.update(put)
    stage.wait_end(stage.start())
    wait_sent(stage, service)
    _demand_each_once(stage, put)


def lost_with_claim(stage: Stage) -> None:
    """An instance is killed when it has taken a message from the outbox and not sent it, and stays away."""
    service = stage.orchestrator
    with _claimed(stage, service) as (claimer, others, _), killed(stage, claimer.node):
        stage.platform.outbox.end_claims(service, stage.tenant, 0)
        for other in others:
            other.heal()
        wait_sent(stage, service)


def restarted_beside_claim(stage: Stage) -> None:
    """While an instance is about to send what it has taken from the outbox, the others are restarted, and send."""
    service, outbox = stage.orchestrator, stage.platform.outbox

    def waiting() -> set[str]:
        return {row.message_id for row in outbox.held_back(service, stage.tenant)}

    with _claimed(stage, service) as (claimer, others, put):
        for other in others:
            with killed(stage, other.node):
                pass
        (later,) = outbox.put_stream(service, stage.tenant, [SIZE])
        stage.allowance.foreign.add(later)
        wait_until(lambda: later not in waiting(), timeout_s=WAIT_S, describe="the other instances to send")
        if early := sorted(set(put) - waiting()):
            promise = "no instance sends what another one is about to send, nor what follows it under the same key"
            seen = f"{len(early)} of {len(put)} sent"
            stage.anomalies.append(Anomaly("OUTBOX", "claim-ignored", promise, "none", seen, tuple(early)))
        claimer.heal()
        wait_sent(stage, service)
    _demand_each_once(stage, put)


@contextmanager
def _claimed(stage: Stage, service: str) -> Iterator[tuple[NodeFault, list[NodeFault], tuple[str, ...]]]:
    """Of some messages of one key an instance has taken the first, for long, and is frozen before it knows.

    So are the others. Yields it, them, and the ids of the messages.
    """
    outbox = stage.platform.outbox
    with ExitStack() as frozen:
        first, *others = _frozen_at_rest(stage, service, frozen)
        put = outbox.put_stream(service, stage.tenant, [SIZE] * OF_ONE_KEY)
        stage.allowance.foreign.update(put)
        with commits_held(stage, service) as block:
            first.heal()
            block.wait_blocked(timeout_s=WAIT_S)
            claimer = frozen.enter_context(suspended(stage, first.node))
            block.release()
        claim = f"{first.node} to have taken a message"
        wait_until(lambda: outbox.end_claims(service, stage.tenant, LONG_S), timeout_s=WAIT_S, describe=claim)
        yield claimer, others, put


def _demand_each_once(stage: Stage, put: Collection[str]) -> None:
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
