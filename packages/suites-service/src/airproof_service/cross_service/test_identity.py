from __future__ import annotations

from collections.abc import Collection

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import ServiceToken
from airproof_service.gateway.stage import REFUSALS, Stage


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant."""
    return Stage.of(cell, tenant)


@pytest.mark.covers("SEC-1", "XS-4")
def test_a_service_answers_its_own_kind_only(stage: Stage) -> None:
    """A service that is asked past the gateway answers nobody who cannot prove to be a service that may ask it now."""
    for route in stage.routes:
        operators = {ServiceToken.OPERATOR} if route.access is Access.OPERATOR else set()
        _demand_identity(stage, route, {ServiceToken.VALID} | operators)
    stage.judge()


@pytest.mark.covers("SEC-1", "SEC-2")
def test_what_is_closed_is_open_to_nobody_else(stage: Stage) -> None:
    """What is for operators, or for services, is done for nobody else who asks for it past the gateway."""
    for route in stage.cell.platform.manifest.closed:
        right = ServiceToken.OPERATOR if route.access is Access.OPERATOR else ServiceToken.VALID
        _demand_identity(stage, route, {right})
    stage.judge()


def _demand_identity(stage: Stage, route: Route, right: Collection[ServiceToken]) -> None:
    """Who shows something else is refused and changes nothing; then those who show the right thing are answered."""
    for token in sorted(ServiceToken, key=lambda one: one in right):
        answer = stage.cell.platform.requests.ask_service(route, stage.about, token)
        open_ = answer.status not in {401, 403} and answer.status < 500
        good = open_ if token in right else answer.status in REFUSALS - {404}
        promise = f"{route.name} is answered by {route.service} to who may ask past the gateway, and to nobody else"
        expected, seen = "an answer" if token in right else "401 or 403", f"{answer} to {token.value}"
        stage.demand(good, "XSERVICE", "stranger-served", promise, expected, seen, stage.rightful(route))
