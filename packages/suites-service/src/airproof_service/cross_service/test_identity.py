from __future__ import annotations

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.requests import ServiceToken
from airproof_service.gateway.stage import REFUSALS, Stage


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant."""
    return Stage.of(cell, tenant)


@pytest.mark.covers("SEC-1", "XS-4")
def test_a_service_answers_its_own_kind_only(stage: Stage) -> None:
    """A service that is asked past the gateway answers nobody who cannot prove to be a service that may ask it now."""
    asking = stage.cell.platform.requests
    for route in (one for one in stage.routes if not one.changes):
        for token in ServiceToken:
            answer = asking.ask_service(route, stage.about, token)
            right = (
                answer.status not in {401, 403} if token is ServiceToken.VALID else answer.status in REFUSALS - {404}
            )
            promise, expected = f"{route.service} answers services alone", "401 or 403"
            if token is ServiceToken.VALID:
                promise, expected = f"{route.service} answers a service", "an answer"
            seen = f"{answer} to {token.value}"
            stage.demand(right, "XSERVICE", "stranger-served", promise, expected, seen, stage.rightful(route))
    stage.judge()
