from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.faults.process import suspended
from airproof.platform.manifest import Service
from airproof.waiting import wait_until

WAIT_S = 10.0


@pytest.mark.destructive
@pytest.mark.covers("XS-3")
def test_a_service_without_its_database_is_alive_and_not_ready(cell: Cell) -> None:
    """A service whose database says nothing says that it is not ready, does not say that it is dead, and comes back."""
    services = [service for service in cell.platform.manifest.services if service.database]
    with suspended(cell, Role.POSTGRES_PRIMARY.value), ThreadPoolExecutor(len(services)) as askers:
        said = dict(zip(services, askers.map(partial(_probed, cell), services), strict=True))
    for service in services:
        wait_until(partial(_is_well, cell, service), timeout_s=WAIT_S, describe=f"{service.name} to be ready again")
    told = [f"{one.name}: health {alive}, ready {ready}" for one, (alive, ready) in said.items()]
    if not all(alive == 200 and ready >= 500 for alive, ready in said.values()):
        promise = "a service that cannot reach its database is alive and not ready"
        anomaly = Anomaly("XSERVICE", "readiness-lies", promise, "health 200, ready 503", "; ".join(told))
        pytest.fail(str(anomaly), pytrace=False)


def _probed(cell: Cell, service: Service) -> tuple[int, int]:
    requests = cell.platform.requests
    return requests.probe(service.name, service.health_path), requests.probe(service.name, service.ready_path)


def _is_well(cell: Cell, service: Service) -> bool:
    return _probed(cell, service) == (200, 200)
