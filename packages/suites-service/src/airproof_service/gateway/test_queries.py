from __future__ import annotations

from dataclasses import replace

import pytest

from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.manifest import Route
from airproof.wire import Wire, on, postgres
from airproof_service.stage import LONGEST_PAGE, Stage

MORE = 7
TRIES = 5


@pytest.mark.destructive
@pytest.mark.covers("XS-3")
def test_the_number_of_queries_does_not_grow_with_what_is_shown(stage: Stage, wire: Wire) -> None:
    """A request asks its database as often for many things as for one."""
    del wire
    reading = [route for route in stage.routes if not route.changes]
    with_one = {route.name: _queries(stage, route) for route in reading}
    entities = stage.cell.platform.entities(reading[0].entity)
    for _ in range(MORE):
        entities.create(stage.about.tenant)
    more = entities.add(stage.about, [str(number) for number in range(MORE)])
    for route in (one for one in reading if one.paged):
        stage.wait_listed(route, more)
    for route in reading:
        once, now = with_one[route.name], _queries(stage, route)
        promise, expected = "the number of queries does not grow with what is shown", f"about {once}, as for one"
        seen = f"{now} with {MORE} more in the tenant, and {MORE} more of the owner's"
        stage.demand(now < once + MORE // 2, "PERF", "query-for-each", promise, expected, seen, stage.rightful(route))
    for route in (one for one in reading if one.from_replica):
        _demand_spared(stage, route)
    stage.judge()


def _demand_spared(stage: Stage, route: Route) -> None:
    """What a read replica is there for is not asked of the primary."""
    asked = on(route.service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stage.about.owner))
    with applied(stage.cell, asked.observe().preventable()) as passed:
        stage.ask(stage.rightful(route))
    promise, expected = "what is read from the replica is not asked of the primary", "no query"
    request, seen = stage.rightful(route), f"{passed.fired} queries"
    stage.demand(not passed.fired, "PERF", "primary-not-spared", promise, expected, seen, request)


def _queries(stage: Stage, route: Route) -> int:
    """How many the request makes; the least of a few tries, for the service has other things to do meanwhile."""
    if route.paged:
        whole = stage.page(route, 1, LONGEST_PAGE).path
        route = replace(route, path=whole, shows={}, kinds={})
    counts = []
    asked = on(route.service, "postgres*").when(postgres.query()).observe().preventable()
    with applied(stage.cell, asked) as passed:
        for _ in range(TRIES):
            before = passed.fired
            stage.demand_served(route)
            counts.append(passed.fired - before)
    return min(counts)
