"""What scenarios do to messages that cannot be delivered: refused by the broker, without a topic, no record."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from airproof.checkers.outbox import CAUSE, TRIED, said
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import witness
from airproof.errors import PlatformError, WaitTimeout
from airproof.faults.moments import killed_at
from airproof.platform.observation import MessageKind, OutboxRow
from airproof.waiting import wait_until
from airproof.wire import on, postgres
from airproof_e2e.saga.breakage import (
    aged,
    frozen_at_rest,
    publishing_refused,
    refused_on_the_wire,
    stopped,
    stopped_over,
    stuck_on_the_wire,
    unroutable,
    unsendable,
)
from airproof_e2e.saga.letters import demand_causes
from airproof_e2e.saga.messages import DATABASE
from airproof_e2e.saga.moments import services_of, wait_past
from airproof_e2e.saga.stage import WAIT_S, Stage

COUNTED_WITHIN_S = 2.0
ASKS_AGAIN_S = 1.0
PARKED, PARKED_DAYS = "failed", 400
LARGE_SIZE, LARGEST_SIZE, SMALL_SIZE = 4000, 2000, 10
NEIGHBOURS = 8
FOR_GOOD = ("MESSAGE_TOO_LARGE", "TOPIC_AUTHORIZATION_FAILED", "INVALID_RECORD", "POLICY_VIOLATION")
"""With which Kafka says that it does not take a message."""


def publishing_is_refused(stage: Stage) -> None:
    """The broker refuses every service's events for good; an operator sends them again when it takes them.

    Meanwhile a year goes by, the orchestrator is restarted, and something else waits in its outbox. The operator asks
    for each once more than there is anything to send again.
    """
    events = {step.participant: step.event for step in stage.saga.steps} | {stage.orchestrator: stage.saga.started}
    with ExitStack() as refused:
        for service, event_type in events.items():
            refused.enter_context(publishing_refused(stage, service, event_type))
        stage.wait_end(stage.start())
        parked = {service: wait_parked(stage, service) for service in events}
    with stage.platform.outbox.postponed(stage.orchestrator, stage.tenant) as waiting:
        stage.allowance.foreign.update(waiting)
        aged(stage, stage.orchestrator, PARKED_DAYS)
        with stopped(stage, stage.orchestrator):
            pass
    for service, rows in parked.items():
        send_again(stage, service, rows)
    for service, rows in parked.items():
        wait_sent(stage, service)
        for row in rows:
            _demand_no_retry(stage, service, row)


def command_is_refused(stage: Stage) -> None:
    """The broker refuses the first commands of two sagas for good, and the orchestrator asks for them again and again.

    One is parked until an operator sends it. The other is as it was after its first try, and waits for the next, also
    if an operator asks for it.
    """
    first, service = stage.saga.steps[0], stage.orchestrator
    with ExitStack() as waiting, publishing_refused(stage, service, first.participant):
        saga_ids = [stage.start() for _ in range(2)]
        rows = wait_parked(stage, service)
        stage.allowance.parked.update(row.message_id for row in rows)
        kept = [
            *rows[:1],
            *(waiting.enter_context(stage.platform.outbox.put_off(service, row)) for row in rows[1:]),
        ]
        wait_past(time.monotonic() + ASKS_AGAIN_S, "the orchestrator to ask again")
        for row in kept[1:]:
            _demand_no_retry(stage, service, row)
        _wait_no_other(stage, service, kept)
        _demand_kept(stage, saga_ids, kept)
    send_again(stage, service, rows[:1])
    for saga_id in saga_ids:
        stage.wait_end(saga_id)


def nowhere_to_go(stage: Stage) -> None:
    """In every outbox wait a message to a topic that there is none and one that is no record; a saga goes on beside.

    An operator has one of them sent again, in vain, and once more when there is such a topic.
    """
    counted = {service: stage.platform.requests.given_up(service) for service in services_of(stage.saga)}
    sent = {service: (unroutable(stage, service), unsendable(stage, service)) for service in counted}
    stage.wait_end(stage.start())
    for service, ids in sent.items():
        stage.allowance.parked.update(ids)
        stage.allowance.held_back.update(ids)
        if not (parked := wait_parked(stage, service)):
            return
        rows = {row.message_id: row for row in parked}
        if lost := set(ids) - set(rows):
            promise, seen = "a message that cannot be sent never counts as sent", f"{len(lost)} gone"
            stage.anomalies.append(
                Anomaly(
                    "OUTBOX", "counts-as-sent", promise, f"{len(ids)} parked at {service}", seen, tuple(sorted(lost))
                )
            )
            return
        demand_counted(stage, service, counted[service] + len(ids))
        if service == stage.orchestrator:
            _demand_all_tries(stage, service, rows[ids[0]])
            _demand_sent(stage, service, rows[ids[0]])


def neighbours_of_a_refused(stage: Stage) -> None:
    """The broker refuses one of many messages that are to be sent at the same moment, and takes the others."""
    service = stage.orchestrator
    with publishing_refused(stage, service, stage.saga.started, larger_than=LARGEST_SIZE):
        with frozen_at_rest(stage, service):
            sizes = [SMALL_SIZE] * (NEIGHBOURS // 2) + [LARGE_SIZE] + [SMALL_SIZE] * (NEIGHBOURS // 2)
            put = [stage.platform.outbox.put_stream(service, stage.tenant, [size])[0] for size in sizes]
        stage.allowance.foreign.update(put)
        neighbours = set(put) - {put[sizes.index(LARGE_SIZE)]}
        blamed: set[str] = set()

        def flown() -> bool:
            left = [row for row in _held_back(stage, service) if row.message_id in neighbours]
            blamed.update(row.message_id for row in left if row.attempts)
            return not left

        with suppress(WaitTimeout):
            wait_until(flown, timeout_s=WAIT_S / 2, describe="what the broker takes to be sent")
        refused = wait_parked(stage, service)
    if blamed:
        promise = "a message is not refused for its neighbour"
        seen = f"{len(blamed)} of {NEIGHBOURS} refused"
        stage.anomalies.append(
            Anomaly("OUTBOX", "blamed-for-another", promise, "none", seen, tuple(sorted(blamed)[:3]))
        )
    send_again(stage, service, refused)


def refused_for_every_reason(stage: Stage) -> None:
    """The broker refuses a message for each of the reasons for which it never takes one; then a saga goes on.

    Not earlier: what is sent in the same request as a refused message is refused with it. While the saga goes on each
    of its services has a message on the way that the broker does not take just now. One is told to shut down over it.
    """
    service, outbox = stage.orchestrator, stage.platform.outbox
    with ExitStack() as refusing:
        with frozen_at_rest(stage, service):
            for _ in FOR_GOOD:
                stage.allowance.foreign.update(outbox.put_stream(service, stage.tenant, [SMALL_SIZE]))
            for row, reason in zip(_held_back(stage, service), FOR_GOOD, strict=True):
                refusing.enter_context(refused_on_the_wire(stage, row, reason))
        rows = wait_parked(stage, service)
    letters = [stage.platform.bus.wait_dead_letter(row.message_id, timeout_s=WAIT_S) for row in rows]
    demand_causes(stage, service, [said(letter, CAUSE) for letter in letters])
    send_again(stage, service, rows)
    with ExitStack() as stuck:
        for rule in [stuck.enter_context(stuck_on_the_wire(stage, each)) for each in services_of(stage.saga)]:
            rule.wait_until_fired(WAIT_S)
        late, waits_for = stage.saga.steps[-2:][0].participant, "a message that the broker does not take"
        with ThreadPoolExecutor(1, thread_name_prefix="stop") as stopper:
            stopping = stopper.submit(stopped_over, stage, late, waits_for)
            stage.wait_end(stage.start())
            stopping.result()


def killed_while_parking(stage: Stage) -> None:
    """A service is killed while it parks what the broker refuses, when the dead letter is to be written."""
    service = stage.orchestrator
    letter = on(service, DATABASE).when(postgres.statement(containing=[stage.tenant.id, CAUSE]))
    stage.disturbances.append("killed")
    with publishing_refused(stage, service, stage.saga.started):
        with killed_at(stage.cell, service, letter) as fault:
            saga_id = stage.start()
            fault.wait(timeout_s=WAIT_S)
            fault.heal()
        stage.wait_end(saga_id)
        rows = wait_parked(stage, service)
    send_again(stage, service, rows)


def wait_sent(stage: Stage, service: str) -> None:
    """Waits until the service has sent all that it has to say for the test's tenant."""
    wait_until(
        lambda: not _held_back(stage, service),
        timeout_s=WAIT_S,
        describe=f"{service} to have sent what it holds",
    )


def _held_back(stage: Stage, service: str) -> tuple[OutboxRow, ...]:
    return stage.platform.outbox.held_back(service, stage.tenant)


def _ids(rows: Iterable[OutboxRow]) -> set[str]:
    return {row.message_id for row in rows}


def _wait_no_other(stage: Stage, service: str, rows: Iterable[OutboxRow]) -> None:
    """Waits until the service has sent whatever it still holds besides these, such as a dead letter of one."""
    ids = _ids(rows)
    others_sent = f"{service} to send all but {len(ids)} messages"
    wait_until(lambda: _ids(_held_back(stage, service)) <= ids, timeout_s=WAIT_S, describe=others_sent)


def wait_parked(stage: Stage, service: str) -> tuple[OutboxRow, ...]:
    """Waits until the service has parked all that it still holds, and notes an anomaly if it does not in time."""

    def parked() -> tuple[OutboxRow, ...]:
        rows = _held_back(stage, service)
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


def send_again(stage: Stage, service: str, rows: Iterable[OutboxRow]) -> None:
    """What was parked comes to lie among the dead letters, or the judge sees it; an operator has it sent again."""
    for row in rows:
        stage.allowance.parked.add(row.message_id)
        with suppress(WaitTimeout):
            letter = stage.platform.bus.wait_dead_letter(row.message_id, timeout_s=WAIT_S)
            if (told := letter.headers.get(TRIED)) != str(row.attempts):
                promise, seen = "a dead letter says how often its message was tried", told or "nothing"
                stage.anomalies.append(
                    Anomaly("OUTBOX", "wrong-tries", promise, f"{row.attempts}", seen, witness([letter]))
                )
        try:
            stage.platform.outbox.retry(service, row.message_id)
        except PlatformError as error:
            promise = "a parked message stays in its outbox until an operator has it sent again"
            facts = (f"{row.message_id} for {row.topic}",)
            stage.anomalies.append(Anomaly("OUTBOX", "parked-lost", promise, "it is sent again", str(error), facts))


def _demand_all_tries(stage: Stage, service: str, row: OutboxRow) -> None:
    """What is sent again and refused again is parked again after as many tries as before."""
    stage.platform.outbox.retry(service, row.message_id)
    again = [one for one in wait_parked(stage, service) if one.message_id == row.message_id]
    if again and again[0].attempts != row.attempts:
        promise = "what an operator has sent again is tried as often as what is sent for the first time"
        expected, facts = f"parked after {row.attempts} tries", (f"{row.message_id} for {row.topic}",)
        seen = f"parked after {again[0].attempts}, those of before among them"
        stage.anomalies.append(Anomaly("OUTBOX", "old-tries-count", promise, expected, seen, facts))


def _demand_sent(stage: Stage, service: str, row: OutboxRow) -> None:
    """What no topic took is sent when there is one."""
    stage.allowance.held_back.discard(row.message_id)
    stage.platform.bus.provide(row.topic)
    stage.platform.outbox.retry(service, row.message_id)
    try:
        sent = f"{service} to send what it has a topic for by now"
        wait_until(lambda: row.message_id not in _ids(_held_back(stage, service)), timeout_s=WAIT_S, describe=sent)
    except WaitTimeout as error:
        promise = "what could not be sent for want of a topic is sent when there is one, and an operator asks for it"
        facts = (f"{row.message_id} for {row.topic}",)
        stage.anomalies.append(Anomaly("OUTBOX", "refused-for-ever", promise, "it is sent", str(error), facts))


def _demand_no_retry(stage: Stage, service: str, row: OutboxRow) -> None:
    with suppress(PlatformError):
        stage.platform.outbox.retry(service, row.message_id)
        promise, seen = "only what is parked can be sent again", f"{row.message_id} once more"
        stage.anomalies.append(Anomaly("OUTBOX", "sent-once-more", promise, "a refusal", seen, (f"for {row.topic}",)))


def _demand_kept(stage: Stage, saga_ids: Iterable[str], rows: Iterable[OutboxRow]) -> None:
    bus = [message for saga_id in saga_ids for message in stage.platform.bus.messages(saga_id)]
    letters = [one for one in bus if one.kind is MessageKind.DEAD_LETTER]
    left = {row.message_id: row for row in _held_back(stage, stage.orchestrator)}
    for row in rows:
        copies, now = [one for one in letters if one.message_id == row.message_id], left.get(row.message_id)
        if now != row or len(copies) > 1:
            promise = "a message that is parked, or waits for its next try, does so whoever asks for it again"
            expected = f"{row.status} after {row.attempts} tries, one dead letter"
            status = f"{now.status} after {now.attempts} tries" if now else "not there"
            seen = f"{status}, {len(copies)} dead letters"
            stage.anomalies.append(Anomaly("OUTBOX", "waits-no-more", promise, expected, seen, witness(copies)))


def demand_counted(stage: Stage, service: str, count: float) -> None:
    """Operators see in the service's metrics how many messages it has given up; an anomaly is noted."""
    requests, counts = stage.platform.requests, f"{service} to count what it has parked"
    try:
        wait_until(lambda: requests.given_up(service) >= count, timeout_s=COUNTED_WITHIN_S, describe=counts)
    except WaitTimeout:
        promise, seen = "what is parked is counted where operators look", f"{requests.given_up(service):g}"
        stage.anomalies.append(Anomaly("OUTBOX", "not-counted", promise, f"{count:g} of {service}", seen))
