"""Mails in hand while something hangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.process import suspended
from airproof.waiting import wait_until
from airproof_service.stage import WAIT_S, Stage

SOON_S = 4.0


@contextmanager
def hanging(stage: Stage) -> Iterator[None]:
    """The mail server hangs at a mail until the context ends, which is later than anybody may wait for it."""
    mails, tenant = stage.cell.platform.mails, stage.about.tenant
    sending = [saga for saga in stage.cell.platform.manifest.sagas if saga.sends_mail_in]
    with suspended(stage.cell, Role.SMTP.value):
        for access in (stage.cell.platform.sagas(saga.name) for saga in sending):
            access.start(access.make_input(tenant))
        in_hand = f"{len(sending)} mails to be in hand"
        wait_until(lambda: sum(mails.tries(tenant)) >= len(sending), timeout_s=WAIT_S, describe=in_hand)
        yield
        again = f"{len(sending)} mails to be tried again"
        try:
            wait_until(lambda: sum(mails.tries(tenant)) > len(sending), timeout_s=SOON_S, describe=again)
        except WaitTimeout as error:
            promise = "a mail server that hangs is given up on, and tried again"
            stage.anomalies.append(Anomaly("XSERVICE", "waits-for-ever", promise, again, str(error)))
