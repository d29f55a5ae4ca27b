from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer, ServiceToken
from airproof.wire import Wire, on, postgres
from airproof_service.stage import WAIT_S, Stage

LOOKS_AROUND_S = 0.1


@pytest.mark.destructive
@pytest.mark.covers("DB-1", "XS-4")
def test_operators_who_ask_for_the_same_at_once_are_both_answered(stage: Stage, wire: Wire) -> None:
    """An operator who asks for what another one is just having done is answered like that one, when it is done."""
    del wire
    ordered = [one for one in stage.cell.platform.manifest.closed if one.access is Access.OPERATOR]
    services = sorted({route.service for route in ordered})
    with ThreadPoolExecutor(len(services), thread_name_prefix="service") as apart:
        for _ in apart.map(lambda name: _race_each(stage, [one for one in ordered if one.service == name]), services):
            pass
    stage.judge()


def _race_each(stage: Stage, routes: list[Route]) -> None:
    for route in (one for one in routes if "{tenant}" in one.path):
        first, second, early = _both(stage, route)
        promise, expected = "what is said to be done is on disk", "an answer when it is committed"
        stage.demand(not early, "DBTX", "told-too-early", promise, expected, "an answer before", stage.rightful(route))
        stage.demand_shape(second, stage.rightful(route))
        promise = "who asks for what somebody else is just having done is answered as they are"
        alike = second.without() == first.without() and first.status < 400
        seen = f"{second}, where the other one was answered {first}"
        stage.demand(alike, "DBTX", "lost-a-race", promise, first.without(), seen, stage.rightful(route))


def _both(stage: Stage, route: Route) -> tuple[Answer, Answer, bool]:
    """Asks a second time while the first transaction is done but for its commit; whether that is told before, too."""
    asking = stage.cell.platform.requests.ask_service
    # What the making of the entity has left to do commits, too.
    stage.cell.barrier(WAIT_S)
    committed = on(route.service, Role.POSTGRES_PRIMARY.value).when(postgres.commit(containing=stage.about.tenant.id))
    with (
        ThreadPoolExecutor(2, thread_name_prefix="operator") as operators,
        applied(stage.cell, committed.times(1).hold()) as held,
    ):
        first = operators.submit(asking, route, stage.about, ServiceToken.OPERATOR)
        held.wait_until_held(WAIT_S)
        second = operators.submit(asking, route, stage.about, ServiceToken.OPERATOR)
        # Who waits for the first one goes on after it; who does not has seen by then what there was before.
        wait([second], LOOKS_AROUND_S)
        early = first.done()
        held.release()
        return first.result(WAIT_S), second.result(WAIT_S), early
