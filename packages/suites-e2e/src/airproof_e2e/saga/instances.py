"""Several instances of one service, which share its database and its consumer group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE
from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.faults.process import NodeFault
from airproof.platform.driver import Write
from airproof.platform.manifest import Step
from airproof.platform.observation import MessageKind, SagaState
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import (
    FREEZES_AT_MOST,
    commits_held,
    held,
    killed,
    redelivered,
    suspended,
    undo_refused,
)
from airproof_e2e.saga.moments import answer, at_each_instance, last_refusable, undoable
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.stage import COMPENSATED, FAILED, WAIT_S, Stage

STREAMS, OF_ONE_KEY, SIZE, MAILS = 8, 3, 10, 3
LONG_S, DEADLINE_S = 60.0, 1.0


def share_an_outbox(stage: Stage) -> None:
    """All instances of a service come to take from its outbox at the same moment, several times."""
    service = stage.orchestrator
    put: set[str] = set()
    with ExitStack() as frozen:
        instances = _frozen_at_rest(stage, service, frozen)
        for _ in range(STREAMS):
            put.update(stage.platform.outbox.put_stream(service, stage.tenant, [SIZE]))
        _all_come(stage, service, Write.CLAIM, instances)
    stage.allowance.foreign.update(put)
    stage.wait_end(stage.start())
    wait_sent(stage, service)
    _demand_each_once(stage, put)


def share_mails(stage: Stage) -> None:
    """All instances of the service come to take mails at the same moment, when the mail server is back."""
    participant, mails = stage.step.participant, stage.platform.mails
    stage.allowance.mails_once = True

    def put_off() -> bool:
        return mails.claimers(stage.tenant) == [""] * MAILS

    with ExitStack() as frozen:
        with killed(stage, Role.SMTP.value):
            for _ in range(MAILS):
                stage.start()
            wait_until(put_off, timeout_s=WAIT_S, describe="the mails to be put off")
            instances = _frozen_at_rest(stage, participant, frozen, when=put_off)
        mails.make_due(stage.tenant)
        _all_come(stage, participant, Write.MAIL_CLAIM, instances)


def mail_of_a_lost_one(stage: Stage) -> None:
    """An instance is killed that has the mail in hand, and stays away; the others are restarted."""
    step, mails = stage.step, stage.platform.mails
    stage.allowance.mails_once = True
    with ExitStack() as lost:
        with suspended(stage, Role.SMTP.value):
            saga_id = stage.start()
            in_hand = "an instance to have the mail in hand"
            wait_until(lambda: any(mails.claimers(stage.tenant)), timeout_s=WAIT_S, describe=in_hand)
            (claimer,) = mails.claimers(stage.tenant)
            instances = [node.name for node in stage.cell.description.instances(step.participant)]
            if claimer not in instances:
                promise = "an instance claims in its own name, so that no other one takes that for its own"
                expected = f"one of {', '.join(instances)}"
                stage.anomalies.append(Anomaly("OUTBOX", "claims-as-another", promise, expected, repr(claimer)))
                return
            left_s, least_s = min(mails.held_for(stage.tenant), default=0.0), stage.saga.sends_within_s
            if not least_s <= left_s <= LONG_S:
                promise = "what an instance has in hand is its own for as long as it may need, and not for much longer"
                name, expected = f"claim-too-{'short' if left_s < least_s else 'long'}", f"{least_s:g} to {LONG_S:g} s"
                stage.anomalies.append(Anomaly("OUTBOX", name, promise, expected, f"{left_s:.1f} s", (claimer,)))
            lost.enter_context(killed(stage, claimer))
        for other in instances:
            if other != claimer:
                with killed(stage, other):
                    pass
        if mails.claimers(stage.tenant) != [claimer]:
            promise = "no instance sends a mail that another one has in hand"
            seen = f"taken by another one, or sent, after {claimer} had it"
            stage.anomalies.append(Anomaly("OUTBOX", "claim-ignored", promise, "it waits", seen, (f"saga {saga_id}",)))
        mails.make_due(stage.tenant)
        stage.wait_for(saga_id, (MessageKind.EVENT, step.event))


def lost_with_claim(stage: Stage) -> None:
    """An instance is killed when it has taken what it may from the outbox and not sent it, and stays away."""
    service = stage.orchestrator
    most = stage.platform.manifest.service(service).sends_at_once
    with _claimed(stage, service, most) as (claimer, others, _), killed(stage, claimer.node):
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


def undone_beside(stage: Stage) -> None:
    """While an instance is at the first step the deadline passes, and another one is asked to undo that step."""
    step = undoable(stage.saga)[0]
    undone = (MessageKind.REPLY, f"{step.name}.{COMPENSATE}")
    with held(stage, step.participant, Write.BUSINESS) as block:
        saga_id = stage.start(deadline_s=DEADLINE_S, ends=COMPENSATED)
        block.wait_blocked(timeout_s=WAIT_S)
        redelivered(stage, stage.command(saga_id, step, COMPENSATE), elsewhere=True)
        met = "the other instance to wait, or to say that there is nothing to undo"
        wait_until(lambda: block.waiting() > 1 or stage.has(saga_id, undone), timeout_s=WAIT_S, describe=met)
    stage.wait_end(saga_id)


def work_apart(stage: Stage) -> None:
    """All instances of a service are at the same step, each of another saga, when the first of them commits."""
    # Where there is a limit the sagas of one tenant may have to wait for each other.
    apart = [one for one in stage.saga.steps if not (one.refusal and one.refusal.limit)]
    step = next((one for one in reversed(apart) if one.participant != stage.saga.entrance), None)
    if step is None:
        pytest.skip("the saga has no step without a limit at which its participant can be frozen before it starts")
    with ExitStack() as frozen:
        instances = _frozen_at_rest(stage, step.participant, frozen)
        saga_ids = at_each_instance(stage, step, stage.start)
        with commits_held(stage, step.participant) as commits:
            for instance in instances:
                instance.heal()
            together = f"{len(instances)} instances of {step.participant} at their commits"
            try:
                wait_until(lambda: commits.waiting() >= len(instances), timeout_s=WAIT_S, describe=together)
            except WaitTimeout:
                promise = "an instance that is long at a step of one saga keeps no other from that of another saga"
                seen = f"{commits.waiting()} within {WAIT_S:g} s"
                stage.anomalies.append(Anomaly("DBTX", "lock-too-wide", promise, together, seen, tuple(saga_ids)))
    for saga_id in saga_ids:
        stage.wait_end(saga_id)


@contextmanager
def _claimed(stage: Stage, service: str, most: int = 0) -> Iterator[tuple[NodeFault, list[NodeFault], tuple[str, ...]]]:
    """Of some messages of one key an instance has taken the first, for long, and is frozen before it knows.

    So are the others. Yields it, them, and the ids of the messages.

    Args:
        most: how many it may take at a time; of others, each of another key, there are as many.
    """
    outbox = stage.platform.outbox
    with ExitStack() as frozen:
        first, *others = _frozen_at_rest(stage, service, frozen)
        put = outbox.put_stream(service, stage.tenant, [SIZE] * OF_ONE_KEY)
        beside = [outbox.put_stream(service, stage.tenant, [SIZE])[0] for _ in range(most)]
        stage.allowance.foreign.update({*put, *beside})
        with commits_held(stage, service) as block:
            first.heal()
            block.wait_blocked(timeout_s=WAIT_S)
            claimer = frozen.enter_context(suspended(stage, first.node))
            block.release()
        claim = f"{first.node} to have taken a message"
        lasts_s = wait_until(lambda: outbox.claimed_for_s(service, stage.tenant), timeout_s=WAIT_S, describe=claim)
        if lasts_s > LONG_S:
            promise = "what an instance has taken comes free soon when it is lost"
            seen = f"after {lasts_s:g} s"
            stage.anomalies.append(Anomaly("OUTBOX", "claim-too-long", promise, f"within {LONG_S:g} s", seen, put[:1]))
        taken = wait_until(lambda: outbox.end_claims(service, stage.tenant, LONG_S), timeout_s=WAIT_S, describe=claim)
        if most and taken > most:
            promise = "who sends what waits takes so much at a time, however much waits"
            seen = f"{taken} of {most + 1} that could be sent"
            stage.anomalies.append(Anomaly("PERF", "too-many-at-once", promise, f"{most}", seen, (first.node,)))
        yield claimer, others, put


def _demand_each_once(stage: Stage, put: Collection[str]) -> None:
    sent = Counter(one.message_id for one in stage.access.observe(stage.tenant).bus if one.message_id in put)
    twice = sorted(id_ for id_, times in sent.items() if times > 1)
    if twice:
        promise = "one instance of a service sends what waits in its outbox"
        seen = f"{len(twice)} of {len(put)} sent more than once"
        stage.anomalies.append(Anomaly("OUTBOX", "sent-twice", promise, "each once", seen, tuple(twice[:3])))


def _all_come(stage: Stage, service: str, write: Write, instances: Collection[NodeFault]) -> None:
    """Thaws all instances of a service, holds each when it comes to take something, and lets them go on together.

    What the first takes is committed only when the others have looked, too.
    """
    with held(stage, service, write) as block:
        for instance in instances:
            instance.heal()
        together = f"{len(instances)} instances of {service} at the {write.value}"
        wait_until(lambda: block.waiting() >= len(instances), timeout_s=WAIT_S, describe=together)
        with commits_held(stage, service) as commits:
            block.release()
            commits.wait_blocked(timeout_s=WAIT_S)


def _frozen_at_rest(
    stage: Stage, service: str, frozen: ExitStack, when: Callable[[], bool] = lambda: True
) -> list[NodeFault]:
    """Suspends all instances of a service between two transactions, at a moment that is as wanted."""
    for _ in range(FREEZES_AT_MOST):
        with ExitStack() as stack:
            nodes = stage.cell.description.instances(service)
            faults = [stack.enter_context(suspended(stage, node.name)) for node in nodes]
            if not stage.access.in_transaction(service) and when():
                frozen.push(stack.pop_all())
                return faults
    raise FaultNotObserved(f"{service} was at work each of the {FREEZES_AT_MOST} times that it was frozen")


def undoing_refused_at_each(stage: Stage) -> None:
    """Nothing may be undone for the tenant any more, when every instance has undone something for it before."""
    kept = [step for step in undoable(stage.saga) if step.compensation and step.compensation.refusal]
    _fail_at_each(stage, COMPENSATED, ())
    with ExitStack() as rules:
        for step in kept:
            rules.enter_context(undo_refused(stage, step, stage.make_input()))
        _fail_at_each(stage, FAILED if kept else COMPENSATED, kept)


def _fail_at_each(stage: Stage, ends: frozenset[SagaState], kept: Sequence[Step]) -> None:
    """Sagas are refused, as many as it takes for each instance to have one."""
    refuser = last_refusable(stage)
    with ExitStack() as refused:

        def start() -> str:
            given = stage.make_input()
            refused.enter_context(stage.access.refuse(refuser.name, given))
            return stage.start(given, ends=ends, refused=refuser, kept=kept)

        for saga_id in at_each_instance(stage, stage.saga.steps[0], start):
            stage.wait_end(saga_id)


def frozen_at_commit(stage: Stage) -> None:
    """The instance that does a step is frozen when its commit is durable, before it is told so."""
    first = {step.participant: step for step in reversed(stage.saga.steps)}
    with ExitStack() as held_ones:
        blocks = {one: held_ones.enter_context(held(stage, one, Write.BUSINESS)) for one in first}
        saga_id = stage.start()
        for step in [step for step in stage.saga.steps if step in first.values()]:
            blocks[step.participant].wait_blocked(timeout_s=WAIT_S)
            with commits_held(stage, step.participant) as commits:
                blocks[step.participant].release()
                commits.wait_blocked(timeout_s=WAIT_S)
                with suspended(stage, commits.node()):
                    commits.release()
                    stage.wait_for(saga_id, answer(stage.at(step)))
