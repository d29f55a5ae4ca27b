"""One judgement at the end of every scenario, whatever it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from airproof.checkers.expectation import Expectation
from airproof.checkers.readouts import ReadOut, keep, keep_verdict
from airproof.checkers.verdict import Anomaly, Verdict, combine, judged
from airproof.errors import NotReady, PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof_e2e.saga.stage import WAIT_S, Stage


def judge(stage: Stage, promise: str, stuck: Anomaly | None = None) -> None:
    """Waits until nothing moves any more, reads everything, and fails the test if a promise is broken.

    Args:
        stuck: that the scenario waited for something in vain.
    """
    unquiet = _settle(stage)
    verdicts = [_verdict(stage, tenant) for tenant in stage.allowances]
    # Last, because who reads what sagas have left behind logs in, and that may be logged too.
    own = judged("scenario", _own(stage, stuck, unquiet))
    verdict = combine([*verdicts, own])
    history = stage.cell.history
    keep_verdict(history, verdict, of_scenario=own.anomalies)
    if not verdict:
        faults = ", ".join(f"{fault.kind} {fault.target}" for fault in history.recording().faults)
        text = f"{verdict}\npromise of the scenario: {promise}\nfaults: {faults or 'none'}"
        pytest.fail(text, pytrace=False)


def _own(stage: Stage, stuck: Anomaly | None, unquiet: str) -> Iterator[Anomaly]:
    yield from stage.anomalies
    if stuck:
        yield stuck
    yield from _secrets_in_logs(stage)
    if unquiet:
        yield Anomaly("SAGA", "never-quiet", "after a while nothing moves any more", "a quiet cell", unquiet)


def _secrets_in_logs(stage: Stage) -> Iterator[Anomaly]:
    requests, lines = stage.platform.requests, stage.log_lines()
    secrets = {secret for allowance in stage.allowances.values() for secret in allowance.secrets}
    secrets.update(requests.secrets(*stage.allowances))
    people = requests.personal(*stage.allowances)
    told = [line for line in lines if any(secret in line.text for secret in secrets)]
    named = [line for line in lines if any(one in line.text.lower() for one in people)]
    for name, what, found in (("secret-in-a-log", "a secret", told), ("person-in-a-log", "who somebody is", named)):
        if found:
            seen = f"{len(found)} lines of {', '.join(sorted({line.node for line in found}))}"
            yield Anomaly("SECURITY", name, f"no log holds {what}", "none", seen)


def _verdict(stage: Stage, tenant: Tenant) -> Verdict:
    allowance = stage.allowances[tenant]
    observation = stage.access.observe(tenant)
    expectation = Expectation(
        endings=tuple(allowance.endings.values()),
        completed=allowance.completed,
        calm=not stage.disturbances,
        mails_once=allowance.mails_once,
        parked=frozenset(allowance.parked),
        held_back=frozenset(allowance.held_back),
        foreign=frozenset(allowance.foreign),
        secrets=tuple(allowance.secrets),
    )
    readout = ReadOut(stage.saga, observation, expectation)
    keep(stage.cell.history, readout)
    return readout.judge()


def _settle(stage: Stage) -> str:
    """Waits for all endings and for quiet; returns what kept the cell from becoming quiet."""
    with suppress(WaitTimeout, PlatformError):
        for allowance in stage.allowances.values():
            for saga_id in allowance.endings:
                stage.wait_end(saga_id)
    try:
        stage.cell.barrier(WAIT_S)
    except NotReady as moving:
        return str(moving)
    return ""
