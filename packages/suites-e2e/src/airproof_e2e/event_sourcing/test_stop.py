from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.errors import PlatformError
from airproof.faults.process import stopped
from airproof.platform.observation import Update, UpdateOutcome
from airproof.waiting import wait_until
from airproof_e2e.event_sourcing.stream import FIRST, WAIT_S, Stream

TRIES = 3
LONGEST_S = 30.0


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "UOW-2")
def test_a_service_that_is_stopped_answers_what_it_has_in_hand(stream: Stream) -> None:
    """A service that is told to stop finishes what was asked of it before, and its user learns it."""
    # It may stop in the end without waiting any longer; on a busy machine that may come before the release.
    answers = [_update_while_it_stops(stream, FIRST)]
    while answers[-1].outcome is UpdateOutcome.UNKNOWN and len(answers) < TRIES:
        truth = stream.access.truth(stream.ref)
        answers.append(_update_while_it_stops(stream, truth.version if truth else FIRST))
    if answers[-1].outcome is not UpdateOutcome.DONE:
        promise = "what a service has in hand when it is told to stop is finished and answered"
        seen = answers[-1].reason or answers[-1].outcome.value
        stream.anomalies.append(Anomaly("XSERVICE", "in-hand-lost", promise, "done, in one of three tries", seen))
    stream.judge()


def _update_while_it_stops(stream: Stream, version: int) -> Update:
    with ThreadPoolExecutor(2) as pool:
        with stream.access.hold_updates() as block:
            updating = pool.submit(stream.update, f"in hand at {version}", version)
            block.wait_blocked(timeout_s=WAIT_S)
            stopping = pool.submit(_stop_and_start, stream)
            wait_until(
                lambda: not _listens(stream) or stopping.done(),
                timeout_s=WAIT_S,
                describe="the service to begin to stop",
            )
        answer = updating.result(LONGEST_S)
        stopping.result(LONGEST_S)
    return answer


def _stop_and_start(stream: Stream) -> None:
    with stopped(stream.cell, stream.access.entity.service) as fault:
        if fault.state.exit_code:
            promise, seen = "a service that is told to stop ends well", f"exit code {fault.state.exit_code}"
            stream.anomalies.append(Anomaly("XSERVICE", "ends-badly", promise, "exit code 0", seen))


def _listens(stream: Stream) -> bool:
    service = stream.cell.platform.manifest.service(stream.access.entity.service)
    try:
        stream.cell.platform.requests.probe(service.name, service.health_path)
    except PlatformError:
        return False
    return True
