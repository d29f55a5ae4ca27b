from __future__ import annotations

import re
from dataclasses import replace

import pytest

from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.manifest import Route
from airproof.wire import Wire, on, postgres
from airproof_service.stage import LONGEST_PAGE, Stage

GIVEN = re.compile(r"SELECT (\d+)$")
MORE = 7
TRIES = 5


@pytest.mark.destructive
@pytest.mark.covers("XS-3")
def test_the_number_of_queries_does_not_grow_with_what_is_shown(stage: Stage, wire: Wire) -> None:
    """A request asks its database as often for many things as for one, and a small page for no more than it shows."""
    del wire
    reading = [route for route in stage.routes if not route.changes]
    with_one = {route.name: (_queries(stage, route), _rows(stage, route)) for route in reading}
    entities = stage.cell.platform.entities(reading[0].entity)
    for _ in range(MORE):
        entities.create(stage.about.tenant)
    more = entities.add(stage.about, [str(number) for number in range(MORE)])
    for route in (one for one in reading if one.paged):
        stage.wait_listed(route, more)
    for route in reading:
        (once, rows_once), now, rows = with_one[route.name], _queries(stage, route), _rows(stage, route)
        request, beside = stage.rightful(route), f"with {MORE} more in the tenant, and {MORE} more of the owner's"
        promise, expected = "the number of queries does not grow with what is shown", f"about {once}, as for one"
        stage.demand(now < once + MORE // 2, "PERF", "query-for-each", promise, expected, f"{now} {beside}", request)
        promise, expected = "what is not shown is not read", f"about {rows_once} rows, as when there was one"
        few = rows <= rows_once * (MORE // 2)
        stage.demand(few, "PERF", "all-read-for-a-page", promise, expected, f"{rows} {beside}", request)
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
    """How many the request makes, for as much as can be shown at a time."""
    if route.paged:
        route = replace(route, path=stage.page(route, 1, LONGEST_PAGE).path)
    return min(map(len, _answers(stage, route)))


def _rows(stage: Stage, route: Route) -> int:
    """How many the database gives for what the route shows: of a list, one thing."""
    return min(
        sum(int(found[1]) for one in answers if (found := GIVEN.match(one))) for answers in _answers(stage, route)
    )


def _answers(stage: Stage, route: Route) -> list[list[str]]:
    """What the database says in the end of each query, in a few tries, for the service has other things to do too."""
    tries = []
    asked = on(route.service, "postgres*").when(postgres.query()).after().observe().preventable()
    with applied(stage.cell, asked) as passed:
        for _ in range(TRIES):
            before = len(passed.evidence())
            stage.demand_served(replace(route, shows={}, kinds={}))
            tries.append([str(one["outcome"]) for one in passed.evidence()[before:]])
    return tries
