"""What scenarios do to the publishing of messages: order, late commits, a broker that hangs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import median

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.platform.driver import Write
from airproof.platform.observation import OutboxRow
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import frozen_at_rest, held, killed, publishing_refused, suspended
from airproof_e2e.saga.letters import SHOWS_ITSELF_S
from airproof_e2e.saga.moments import services_of
from airproof_e2e.saga.parking import COUNTED_WITHIN_S, LARGEST_SIZE, PARKED, wait_sent
from airproof_e2e.saga.stage import WAIT_S, Stage

TRIES, ENDS_SOON_S, LOOKS_AGAIN_S = 3, 4.0, 1.5
STREAM_SIZES = (4000, *[10] * 20)
"""More than a relay sends that looks for the next of a key only now and then."""
BACKLOG, FEW = 72, 8
"""More than is sent at a time, and how many of them are compared."""


def order_is_kept(stage: Stage) -> None:
    """The broker refuses the first of an aggregate's events for a moment, and takes the others, which come in turn.

    Of another aggregate the first event waits for its next try, while its service sends whatever else there is.

    A slow machine may heal the broker only when the first was parked; then later ones need not wait, and it is tried
    again with other events.
    """
    _send_while_the_first_waits(stage, stage.orchestrator)
    service, put_in_turn = stage.orchestrator, stage.platform.outbox.put_stream_in_turn
    for _ in range(TRIES):
        with publishing_refused(stage, service, stage.saga.started, larger_than=LARGEST_SIZE):
            stage.allowance.foreign.update(put_in_turn(service, stage.tenant, STREAM_SIZES))
            wait_until(lambda: _attempts(stage, service), timeout_s=WAIT_S, describe="the first to be refused")
        wait_until(lambda: not _waiting(stage, service), timeout_s=WAIT_S, describe="the others to be sent")
        parked = stage.platform.outbox.held_back(service, stage.tenant)
        if not parked:
            return
        for row in parked:
            stage.allowance.parked.add(row.message_id)
            stage.platform.outbox.retry(service, row.message_id)
    raise FaultNotObserved(f"the first event was parked before the broker took it again, {TRIES} times")


def _send_while_the_first_waits(stage: Stage, service: str) -> None:
    outbox = stage.platform.outbox
    with ExitStack() as waiting:
        with frozen_at_rest(stage, service):
            first, second = outbox.put_stream(service, stage.tenant, STREAM_SIZES[:2])
            stage.allowance.foreign.update((first, second))
            (row,) = (one for one in outbox.held_back(service, stage.tenant) if one.message_id == first)
            waiting.enter_context(outbox.put_off(service, row))
        stage.wait_end(stage.start())
    wait_sent(stage, service)


def oldest_first(stage: Stage) -> None:
    """While a service is away more messages come into its outbox than it sends at a time, each of another aggregate.

    One that is claimed later may overtake a few that are on their way already, but not as a rule.
    """
    service, outbox = stage.orchestrator, stage.platform.outbox
    before = stage.platform.requests.sent(service)
    with frozen_at_rest(stage, service):
        put = [outbox.put_stream(service, stage.tenant, [0])[0] for _ in range(BACKLOG)]
    stage.allowance.foreign.update(put)
    wait_sent(stage, service)
    places = {one.message_id: one.offset for one in stage.access.observe(stage.tenant).bus}
    first, last = ([places[id_] for id_ in some if id_ in places] for some in (put[:FEW], put[-FEW:]))
    if first and last and max(first) > median(last):
        promise = "what waits longest is sent first, so that nothing new keeps it waiting"
        expected = f"each of the first {FEW} of {BACKLOG} before most of the last {FEW}"
        seen = f"at offsets {first}, {last}"
        stage.anomalies.append(Anomaly("OUTBOX", "overtaken", promise, expected, seen))
    _demand_counted(stage, service, before)
    stage.start()


def _demand_counted(stage: Stage, service: str, before: float) -> None:
    """Operators see that the backlog was sent, and how much it was."""

    def sent() -> float:
        return stage.platform.requests.sent(service) - before

    with suppress(WaitTimeout):
        wait_until(lambda: sent() >= BACKLOG, timeout_s=COUNTED_WITHIN_S, describe=f"{service} to count what it sends")
    if not BACKLOG <= (seen := sent()) < BACKLOG + FEW:
        promise = "what is sent is counted, once, where operators look"
        stage.anomalies.append(Anomaly("OUTBOX", "counted-wrong", promise, f"{BACKLOG} more", f"{seen:g} more"))


def _attempts(stage: Stage, service: str) -> int:
    return max((row.attempts for row in stage.platform.outbox.held_back(service, stage.tenant)), default=0)


def _waiting(stage: Stage, service: str) -> list[OutboxRow]:
    return [row for row in stage.platform.outbox.held_back(service, stage.tenant) if row.status != PARKED]


def event_log_is_immutable(stage: Stage) -> None:
    """Somebody with the service's own rights tries to change its event log."""
    stage.wait_end(stage.start())
    done = [what for service in services_of(stage.saga) for what in stage.platform.tamper(service, stage.tenant)]
    if done:
        promise = "an event that is stored is never changed"
        stage.anomalies.append(Anomaly("ES", "log-changed", promise, "an error", "; ".join(done)))


def commits_late(stage: Stage) -> None:
    """In every outbox a transaction took its place early and commits when later messages are long sent.

    Another message of each was refused once and waits for its next try, and so do more of one than are sent at a time;
    others of its topic, or of its key, come after.
    """
    outbox, postponed = stage.platform.outbox, dict[str, tuple[str, ...]]()
    with ExitStack() as waiting:
        for service in services_of(stage.saga):
            stage.allowance.foreign.add(waiting.enter_context(outbox.late_commit(service, stage.tenant)))
            count = BACKLOG if service == stage.orchestrator else 1
            postponed[service] = waiting.enter_context(outbox.postponed(service, stage.tenant, count))
            beside = outbox.put_beside(service, stage.tenant, postponed[service][0])
            stage.allowance.foreign.update({*postponed[service], *beside})
        saga_id = stage.start()
        promise = "a message that is not sent yet keeps only those of its own key and topic waiting"
        expected = "all others are sent"
        try:
            stage.wait_end(saga_id)
            for service, waits in postponed.items():
                only = f"{service} to hold back what waits for its next try, {len(waits)} messages, and no other"
                wait_until(partial(_holds_back_only, stage, service, waits), timeout_s=WAIT_S / 2, describe=only)
        except WaitTimeout as error:
            stage.anomalies.append(Anomaly("OUTBOX", "kept-waiting", promise, expected, str(error)))
            # It is late for that, and for nothing else.
            stage.disturbances.append("kept waiting")


def _holds_back_only(stage: Stage, service: str, message_ids: Collection[str]) -> bool:
    return {row.message_id for row in stage.platform.outbox.held_back(service, stage.tenant)} == {*message_ids}


def killed_before_acknowledgement(stage: Stage) -> None:
    """Orchestrator and participants are killed in turn when they have committed and the broker has not acknowledged."""
    first = {step.participant: step for step in reversed(stage.saga.steps)}
    with ExitStack() as held_ones:
        blocks = {one: held_ones.enter_context(held(stage, one, Write.BUSINESS)) for one in first}
        with _silent_broker(stage, stage.orchestrator):
            saga_id = stage.start()
            _demand_claim_kept(stage, stage.orchestrator)
            _demand_no_more_claims(stage, stage.orchestrator)
        for step in [step for step in stage.saga.steps if step in first.values()]:
            blocks[step.participant].wait_blocked(timeout_s=WAIT_S)
            with _silent_broker(stage, step.participant):
                blocks[step.participant].release()
                committed = f"{step.name} to be committed"
                wait_until(partial(stage.access.effect, step.name, saga_id), timeout_s=WAIT_S, describe=committed)


def _demand_claim_kept(stage: Stage, service: str) -> None:
    """What is on its way stays the instance's own, however long the broker takes, and nothing else does.

    The answer to one of its claims was lost.
    """
    outbox, claims = stage.platform.outbox, f"{service} to claim what it is about to send"
    wait_until(lambda: outbox.end_claims(service, stage.tenant, ENDS_SOON_S), timeout_s=WAIT_S, describe=claims)
    unheard = outbox.put_claimed(service, stage.tenant, ENDS_SOON_S)
    stage.allowance.foreign.add(unheard)
    try:
        renewed = f"{service} to claim that again"
        wait_until(
            lambda: outbox.claimed_for_s(service, stage.tenant) > ENDS_SOON_S, timeout_s=ENDS_SOON_S, describe=renewed
        )
    except WaitTimeout as error:
        promise = "an instance keeps its claim to what it is about to send until it knows what became of it"
        stage.anomalies.append(Anomaly("OUTBOX", "claim-ends", promise, "it is renewed before it ends", str(error)))
    if outbox.claimed_for_s(service, stage.tenant, unheard) > ENDS_SOON_S:
        promise = "what an instance has claimed and never heard that it has comes free when the claim ends"
        seen = f"{service} renews it with its other claims"
        stage.anomalies.append(Anomaly("OUTBOX", "claim-without-end", promise, "it is let be", seen, (unheard,)))


def _demand_no_more_claims(stage: Stage, service: str) -> None:
    """However much waits, and however long the broker takes, an instance has only so much in hand.

    Where the platform says how much. To that comes the claim of which it has not heard.
    """
    outbox, most = stage.platform.outbox, stage.platform.manifest.service(service).sends_at_once
    if not most:
        return
    for _ in range(most + FEW):
        stage.allowance.foreign.update(outbox.put_stream(service, stage.tenant, [0]))

    def in_hand() -> int:
        return outbox.end_claims(service, stage.tenant, ENDS_SOON_S)

    with suppress(WaitTimeout):
        more = f"{service} to take more than it sends at a time"
        taken = wait_until(lambda: max(in_hand() - most - 1, 0), timeout_s=LOOKS_AGAIN_S, describe=more)
        promise, seen = "who sends what waits takes so much at a time, however much waits", f"{taken} more in hand"
        stage.anomalies.append(Anomaly("PERF", "too-many-at-once", promise, f"{most}", seen, (service,)))


@contextmanager
def _silent_broker(stage: Stage, service: str) -> Iterator[None]:
    """The broker is frozen; what the service commits meanwhile stays in its outbox, and then the service is killed."""
    with suspended(stage, Role.KAFKA.value) as broker:
        yield
        _demand_held_back(stage, service)
        with killed(stage, service):
            broker.heal()


def _demand_held_back(stage: Stage, service: str) -> None:
    """What the frozen broker cannot have acknowledged stays in the outbox.

    A relay that does not wait for the acknowledgement is given a moment to show it.
    """
    with suppress(WaitTimeout):
        wait_until(
            lambda: not stage.platform.outbox.held_back(service, stage.tenant),
            timeout_s=SHOWS_ITSELF_S,
            describe="an outbox that forgets",
        )
        promise = "a message counts as sent when the broker has acknowledged it, not before"
        seen = f"the outbox of {service} is empty while the broker is frozen"
        stage.anomalies.append(Anomaly("OUTBOX", "sent-without-acknowledgement", promise, "held back", seen))
