from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airproof.platform.requests import Answer, Request, ServiceToken
from airproof.waiting import wait_until
from airproof_service.stage import UNAVAILABLE, Stage

AT_ONCE = 24
LONGEST_S = 30.0


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-4")
def test_who_finds_no_connection_is_told_to_try_again(stage: Stage) -> None:
    """Whoever asks a service that has all its connections in use waits, or is told to try again."""
    route = next((one for one in stage.routes if one.changes), None)
    if route is None:
        pytest.skip("the manifest declares no route that changes something")
    asking, entities = stage.cell.platform.requests, stage.cell.platform.entities(route.entity)
    with (
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users,
        stage.cell.history.fault("connections in use", route.service) as fault,
        entities.hold_updates() as block,
    ):
        updating = [users.submit(asking.ask_service, route, stage.about, ServiceToken.VALID) for _ in range(AT_ONCE)]
        wait_until(
            lambda: block.waiting() + sum(one.done() for one in updating) >= AT_ONCE,
            timeout_s=LONGEST_S,
            describe=f"each of {AT_ONCE} updates to wait in the database or to be answered",
        )
        used, most = block.waiting(), stage.cell.platform.manifest.service(route.service).connections
        fault.evidence(f"{used} of {AT_ONCE} updates wait in the database")
        block.release()
        fault.healed("they go on")
        answers = [one.result(LONGEST_S) for one in updating]
    for answer in answers:
        _demand_honest(stage, stage.rightful(route), answer)
    promise, seen = "no service takes the connections that others need", f"{used} for {AT_ONCE} requests"
    bounded, request = not most or used <= most, stage.rightful(route)
    stage.demand(bounded, "DBTX", "connections-without-limit", promise, f"at most {most}", seen, request)
    done = sum(answer.status < 400 for answer in answers)
    promise = "of all updates at one expected version one is done"
    stage.demand(done == 1, "DBTX", "two-winners", promise, "1 done", f"{done} done", stage.rightful(route))
    for one in (other for other in stage.routes if not other.changes):
        stage.demand_served(one, "DBTX")
    stage.judge()


def _demand_honest(stage: Stage, request: Request, answer: Answer) -> None:
    honest = answer.status < 500 or answer.status in UNAVAILABLE
    promise = "who finds no connection is told to try again"
    stage.demand_shape(answer, request)
    stage.demand(honest, "DBTX", "no-connection-is-a-bug", promise, "an answer, or 503", answer, request)
