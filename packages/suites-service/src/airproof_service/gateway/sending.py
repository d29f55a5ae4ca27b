"""Messages in hand while the broker hangs, and of who has had nothing in hand for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.wire import applied
from airproof.platform.manifest import Saga
from airproof.waiting import wait_until
from airproof.wire import kafka, on
from airproof_service.stage import Stage

SHOWS_ITSELF_S, FOUND_WITHIN_S = 0.5, 2.5


@contextmanager
def unacknowledged(stage: Stage) -> Iterator[None]:
    """The broker says nothing of a message until the context ends, which is later than anybody may wait for it.

    Its sender is a service that has nothing else to send as long as no mail is sent.
    """
    service = next((_sender(saga) for saga in stage.cell.platform.manifest.sagas if saga.sends_mail_in), "")
    if not service:
        yield
        return
    outbox, tenant = stage.cell.platform.outbox, stage.about.tenant
    with applied(stage.cell, on(service, Role.KAFKA.value).when(kafka.produce(containing=tenant.id)).hold()):
        (message_id,) = outbox.put_stream(service, tenant, [0])
        yield
        with suppress(WaitTimeout):
            forgotten = partial(_is_gone, stage, service, message_id)
            wait_until(forgotten, timeout_s=SHOWS_ITSELF_S, describe="an outbox that forgets")
            promise = "a message counts as sent when the broker has acknowledged it, however long that takes"
            seen = f"the outbox of {service} has forgotten {message_id}, of which the broker knows nothing"
            stage.anomalies.append(Anomaly("OUTBOX", "sent-without-acknowledgement", promise, "held back", seen))


def demand_found(stage: Stage, *, but: str) -> None:
    """What another process leaves in an outbox is found soon, also by who has had nothing to send for long.

    That is who begins a saga, when that has come to wait for somebody else.
    """
    outbox, tenant = stage.cell.platform.outbox, stage.about.tenant
    for service in {saga.steps[0].participant for saga in stage.cell.platform.manifest.sagas} - {but}:
        (left,) = outbox.put_stream(service, tenant, [0])
        found = partial(_is_gone, stage, service, left)
        try:
            wait_until(found, timeout_s=FOUND_WITHIN_S, describe=f"{service} to send what another process has left")
        except WaitTimeout as error:
            promise = "what is to be sent is found soon, also by who has had nothing to send for long"
            expected = f"within {FOUND_WITHIN_S:g} s"
            stage.anomalies.append(Anomaly("OUTBOX", "found-late", promise, expected, str(error), (left,)))


def _is_gone(stage: Stage, service: str, message_id: str) -> bool:
    left = stage.cell.platform.outbox.held_back(service, stage.about.tenant)
    return all(row.message_id != message_id for row in left)


def _sender(saga: Saga) -> str:
    return saga.step(saga.sends_mail_in or "").participant
