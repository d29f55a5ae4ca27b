"""Messages in hand while the broker hangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.wire import applied
from airproof.platform.manifest import Saga
from airproof.waiting import wait_until
from airproof.wire import kafka, on
from airproof_service.stage import Stage

SHOWS_ITSELF_S = 0.5


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
            wait_until(
                lambda: message_id not in {row.message_id for row in outbox.held_back(service, tenant)},
                timeout_s=SHOWS_ITSELF_S,
                describe="an outbox that forgets",
            )
            promise = "a message counts as sent when the broker has acknowledged it, however long that takes"
            seen = f"the outbox of {service} has forgotten {message_id}, of which the broker knows nothing"
            stage.anomalies.append(Anomaly("OUTBOX", "sent-without-acknowledgement", promise, "held back", seen))


def _sender(saga: Saga) -> str:
    return saga.step(saga.sends_mail_in or "").participant
