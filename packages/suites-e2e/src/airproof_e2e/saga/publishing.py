"""What scenarios do to the publishing of messages: a broker that refuses or hangs, poison, late commits, mail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import witness
from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.platform.driver import Tenant, Write
from airproof.platform.observation import BusMessage, OutboxRow, SagaState
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import forged, held, killed, poison, publishing_refused, suspended
from airproof_e2e.saga.moments import demand_silence, services_of
from airproof_e2e.saga.stage import WAIT_S, Stage

SHOWS_ITSELF_S = 0.1
PARKED = "failed"
TRIES = 3
STREAM_SIZES, LARGEST_SIZE = (4000, 10, 10), 2000


def publishing_is_refused(stage: Stage) -> None:
    """The broker refuses every service's events for good; an operator sends them again when it takes them."""
    events = {step.participant: step.event for step in stage.saga.steps} | {stage.orchestrator: stage.saga.started}
    with ExitStack() as refused:
        for service, event_type in events.items():
            refused.enter_context(publishing_refused(stage, service, event_type))
        stage.wait_end(stage.start())
        parked = {service: _wait_parked(stage, service) for service in events}
    for service, rows in parked.items():
        for row in rows:
            stage.allowance.parked.add(row.message_id)
            stage.platform.bus.wait_dead_letter(row.message_id, timeout_s=WAIT_S)
            stage.platform.outbox.retry(service, row.message_id)


def _wait_parked(stage: Stage, service: str) -> tuple[OutboxRow, ...]:
    """Waits until the service has parked all that it still holds, and notes an anomaly if it does not in time."""

    def parked() -> tuple[OutboxRow, ...]:
        rows = stage.platform.outbox.held_back(service, stage.tenant)
        return rows if all(row.status == PARKED for row in rows) else ()

    try:
        rows = wait_until(parked, timeout_s=WAIT_S, describe=f"{service} to park what the broker refuses")
    except WaitTimeout as error:
        promise = "a message that the broker refuses is parked after so many tries"
        stage.anomalies.append(Anomaly("OUTBOX", "no-dead-letter", promise, "parked", str(error)))
        return ()
    hasty = [row for row in rows if row.attempts < 2]
    if hasty:
        promise = "a message that the broker refuses is tried again before it is parked"
        stage.anomalies.append(Anomaly("OUTBOX", "parked-at-once", promise, "2 or more tries", str(hasty[0].attempts)))
    return rows


def order_is_kept(stage: Stage) -> None:
    """The broker refuses the first of an aggregate's events for a moment, and takes the others.

    A slow machine may heal the broker only when the first was parked; then later ones need not wait, and it is tried
    again with other events.
    """
    service = stage.orchestrator
    for _ in range(TRIES):
        with publishing_refused(stage, service, stage.saga.started, larger_than=LARGEST_SIZE):
            stage.allowance.foreign.update(stage.platform.outbox.put_stream(service, stage.tenant, STREAM_SIZES))
            wait_until(lambda: _attempts(stage, service), timeout_s=WAIT_S, describe="the first to be refused")
        wait_until(lambda: not _waiting(stage, service), timeout_s=WAIT_S, describe="the others to be sent")
        parked = stage.platform.outbox.held_back(service, stage.tenant)
        if not parked:
            return
        for row in parked:
            stage.allowance.parked.add(row.message_id)
            stage.platform.outbox.retry(service, row.message_id)
    raise FaultNotObserved(f"the first event was parked before the broker took it again, {TRIES} times")


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
        stage.anomalies.append(Anomaly("EVENT_STORE", "log-changed", promise, "an error", "; ".join(done)))


def poison_arrives(stage: Stage) -> None:
    """Every service is sent messages that it cannot process; others follow."""
    sent = {service: poison(stage, service) for service in services_of(stage.saga)}
    stage.wait_end(stage.start())
    until = time.monotonic() + WAIT_S
    for service, messages in sent.items():
        for message in messages:
            _demand_parked(stage, service, message, max(until - time.monotonic(), SHOWS_ITSELF_S))


def replies_are_forged(stage: Stage) -> None:
    """While a participant is at its step, refusals of it arrive in another tenant's name."""
    first, other = stage.saga.steps[0], Tenant(f"{stage.tenant.id}-other")
    with held(stage, first.participant, Write.BUSINESS):
        saga_id = stage.start()
        stage.command(saga_id, first)
        for message in forged(stage, saga_id, first, other):
            _demand_parked(stage, stage.orchestrator, message, WAIT_S)
        state = stage.access.read(saga_id).state
        if state is not SagaState.RUNNING:
            promise = "no message of one tenant moves a saga of another"
            stage.anomalies.append(Anomaly("TENANCY", "moved-by-another", promise, "a saga that runs", state.value))


def _demand_parked(stage: Stage, service: str, message: BusMessage, timeout_s: float) -> None:
    try:
        stage.platform.bus.wait_dead_letter(message.message_id, timeout_s=timeout_s)
    except WaitTimeout as error:
        stage.allowances[Tenant(message.tenant_id)].parked.discard(message.message_id)
        promise = "a message that a service cannot process is parked with its cause, and never just dropped"
        expected, facts = f"{message.type} for {service} among the dead letters", witness([message])
        stage.anomalies.append(Anomaly("BUS", "dropped", promise, expected, str(error), facts))


def commits_late(stage: Stage) -> None:
    """In every outbox a transaction took its place early and commits when later messages are long sent.

    Another message of each was refused once and waits for its next try.
    """
    with ExitStack() as waiting:
        for service in services_of(stage.saga):
            outbox = stage.platform.outbox
            for early in (outbox.late_commit, outbox.postponed):
                stage.allowance.foreign.add(waiting.enter_context(early(service, stage.tenant)))
        saga_id = stage.start()
        try:
            stage.wait_end(saga_id)
        except WaitTimeout as error:
            promise = "a message that is not sent yet keeps only those of its own key waiting"
            stage.anomalies.append(Anomaly("OUTBOX", "kept-waiting", promise, "the saga ends", str(error)))


def killed_before_acknowledgement(stage: Stage) -> None:
    """Orchestrator and participants are killed in turn when they have committed and the broker has not acknowledged."""
    first = {step.participant: step for step in reversed(stage.saga.steps)}
    with ExitStack() as held_ones:
        blocks = {one: held_ones.enter_context(held(stage, one, Write.BUSINESS)) for one in first}
        with _silent_broker(stage, stage.orchestrator):
            saga_id = stage.start()
        for step in [step for step in stage.saga.steps if step in first.values()]:
            blocks[step.participant].wait_blocked(timeout_s=WAIT_S)
            with _silent_broker(stage, step.participant):
                blocks[step.participant].release()
                committed = f"{step.name} to be committed"
                wait_until(partial(stage.access.effect, step.name, saga_id), timeout_s=WAIT_S, describe=committed)


@contextmanager
def _silent_broker(stage: Stage, service: str) -> Iterator[None]:
    """The broker is frozen; what the service commits meanwhile stays in its outbox, and then the service is killed."""
    with suspended(stage, Role.KAFKA.value) as broker:
        yield
        _demand_held_back(stage, service)
        with killed(stage, service):
            broker.heal()


def mail_server_down(stage: Stage) -> None:
    """The mail server is not there when the mail is to be sent."""
    with killed(stage, Role.SMTP.value):
        stage.command(stage.start(), stage.step)


def mail_accepted_and_forgotten(stage: Stage) -> None:
    """The participant is killed when the mail server has the mail, before it notes that."""
    step = stage.step
    with held(stage, step.participant, Write.EVENT) as block:
        saga_id = stage.start()
        block.wait_blocked(timeout_s=WAIT_S)
        demand_silence(stage, saga_id)
        with killed(stage, step.participant):
            block.release()


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
