from __future__ import annotations

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.platform.driver import Tenant
from airproof_service.mistakes import unknown_ids
from airproof_service.stage import Stage


@pytest.mark.covers("XS-3", "SEC-3")
def test_what_a_service_counts_does_not_grow_with_its_users(cell: Cell, tenant: Tenant) -> None:
    """What a service counts and measures is told for all together, and not for each user or thing there is."""
    stage = Stage.of(cell, tenant)
    for route in stage.routes:
        for request in (stage.rightful(route), *unknown_ids(stage, route)):
            stage.ask(request)
    requests, about = cell.platform.requests, stage.about
    own = (about.id, about.owner, tenant.id, *requests.personal(tenant))
    told = {one.name: requests.counted(one.name).lower() for one in cell.platform.manifest.services}
    if grown := sorted(name for name, text in told.items() if any(one in text for one in own)):
        promise = "what a service counts does not grow with its users"
        seen = f"lines of their own for a user or what is theirs at {', '.join(grown)}"
        stage.anomalies.append(Anomaly("PERF", "counts-for-each", promise, "figures for all", seen))
    if silent := sorted(name for name, text in told.items() if not text):
        promise = "every service tells what it counts"
        stage.anomalies.append(Anomaly("PERF", "counts-nothing", promise, "figures", ", ".join(silent)))
    stage.judge()
