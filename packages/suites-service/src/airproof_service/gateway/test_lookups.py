from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from airproof.cells import Cell
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access
from airproof.wire import Wire, on, postgres
from airproof_service.gateway.intruders import Others
from airproof_service.gateway.stage import UNAVAILABLE, Stage


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant."""
    return Stage.of(cell, tenant)


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-2")
def test_what_cannot_be_looked_up_is_not_made_up(stage: Stage, wire: Wire) -> None:
    """While a service's database breaks off all that it is asked, its answer is that it has none, or the usual one."""
    del wire
    other = replace(stage.about, owner=Others.of(stage).colleague.owner)
    for route in (one for one in stage.routes if not one.changes and one.access is not Access.ANYBODY):
        for about in (stage.about, other):
            request = replace(stage.rightful(route), about=about, user=stage.about)
            usual = stage.ask(request)
            with ExitStack() as broken:
                for named in (about.id, about.owner, about.tenant.id):
                    asked = on(route.service, "postgres-*").when(postgres.query(containing=named))
                    broken.enter_context(applied(stage.cell, asked.reset().preventable()))
                answer = stage.ask(request)
            alike = answer is not None and usual is not None and answer.without() == usual.without()
            honest = alike or (answer is not None and answer.status in UNAVAILABLE)
            promise, expected = "what cannot be looked up is not made up", f"503, or as ever: {usual}"
            stage.demand(honest, "XSERVICE", "made-up", promise, expected, answer, request)
            stage.demand_discreet(answer, request)
    stage.judge()
