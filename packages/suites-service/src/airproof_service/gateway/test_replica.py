from __future__ import annotations

import pytest

from airproof.cells import Cell
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.process import killed
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access, Route
from airproof.waiting import wait_until
from airproof_service.stage import UNAVAILABLE, WAIT_S, Stage, replica_held


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant, which its owner's lists show."""
    stage = Stage.of(cell, tenant)
    for route in (one for one in stage.reading if one.access is Access.USER):
        _wait_until_listed(stage, route, stage.about.id)
    return stage


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "CQRS-1")
def test_what_cannot_be_read_is_not_told_as_nothing(stage: Stage) -> None:
    """While the database's read replica is away nobody is told that there is nothing: they see it, or a refusal."""
    with killed(stage.cell, Role.POSTGRES_REPLICA.value):
        for route in stage.reading:
            request = stage.rightful(route)
            answer = stage.ask(request)
            served = answer is not None and answer.status < 400
            shown = answer is not None and (route.access is not Access.USER or stage.about.id in answer.text)
            honest = answer is not None and ((served and shown) or answer.status in UNAVAILABLE)
            promise, expected = "what cannot be read is not told as nothing", f"{stage.about.id}, or 503"
            stage.demand(honest, "XSERVICE", "hidden-failure", promise, expected, answer, request)
    for route in stage.reading:
        stage.demand_served(route)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-4")
@pytest.mark.parametrize("role", [Role.POSTGRES_PRIMARY, Role.POSTGRES_REPLICA])
def test_after_a_restart_of_a_database_the_next_request_is_served(stage: Stage, role: Role) -> None:
    """Connections that a database has closed are not used again: when it is back, the first request is served."""
    for route in stage.reading:
        stage.demand_served(route)
    with killed(stage.cell, role.value):
        pass
    for route in stage.reading:
        stage.demand_served(route, "DBTX")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CQRS-1", "GW-1")
def test_who_is_told_that_something_is_made_can_use_it(cell: Cell, tenant: Tenant) -> None:
    """Who is told that something is made can use it at once, but for lists, also while the read replica lags."""
    routes = cell.platform.manifest.routes
    if not routes:
        pytest.skip("the manifest declares no routes")
    with replica_held(cell, cell.platform.entities(routes[0].entity)):
        stage = Stage.of(cell, tenant)
        for route in (one for one in stage.routes if one.access is not Access.USER):
            stage.demand_served(route, "XSERVICE")
    stage.judge()


@pytest.mark.covers("CQRS-1", "CA-2")
def test_a_list_shows_soon_what_has_changed(stage: Stage) -> None:
    """Whoever lists what is theirs, before and after a change of it, is soon shown the change."""
    changed = f"changed {stage.about.id}"
    stage.cell.platform.entities(stage.routes[0].entity).update(stage.about, changed, expected_version=1)
    for route in (one for one in stage.reading if one.access is Access.USER):
        try:
            _wait_until_listed(stage, route, changed)
        except WaitTimeout:
            promise, request = f"a list shows within {WAIT_S:g} s what has changed", stage.rightful(route)
            stage.demand(False, "CACHE", "stale-list", promise, changed, stage.ask(request), request)
    stage.judge()


def _wait_until_listed(stage: Stage, route: Route, text: str) -> None:
    def listed() -> bool:
        answer = stage.ask(stage.rightful(route))
        return answer is not None and text in answer.text

    wait_until(listed, timeout_s=WAIT_S, describe=f"{route.name} to show {text!r}")
