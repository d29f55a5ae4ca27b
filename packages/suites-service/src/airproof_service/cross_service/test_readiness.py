from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.process import killed, suspended
from airproof.faults.wire import applied
from airproof.platform.manifest import Service
from airproof.waiting import wait_until
from airproof.wire import Rule, Wire, matching, on
from airproof.wire.holding import Hold, outcome_of
from airproof_service.stage import WAIT_S

SHOWS_ITSELF_S, SEVERAL = 0.5, 2


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


@pytest.mark.destructive
@pytest.mark.covers("XS-3", "EB-1")
def test_a_service_that_does_not_consume_yet_is_not_ready(cell: Cell, wire: Wire) -> None:
    """A service that is started is ready when it takes part in all of its consumer groups, and not before."""
    del wire
    services = [service for service in cell.platform.manifest.services if service.database]
    with ThreadPoolExecutor(len(services), thread_name_prefix="start") as starters:
        early = [told for found in starters.map(partial(_ready_too_early, cell), services) for told in found]
    if early:
        promise = "a service is ready when it takes part in all of its consumer groups"
        keepers = {one.keeper for one in cell.platform.manifest.caches if one.keeper}
        of_keepers = all(told.rpartition(" without ")[2] in keepers for told in early)
        category = "CQRS" if of_keepers else "XSERVICE"
        anomaly = Anomaly(category, "readiness-lies", promise, "not ready before", "; ".join(early))
        pytest.fail(str(anomaly), pytrace=False)


def _ready_too_early(cell: Cell, service: Service) -> list[str]:
    """Starts the service while it does not get into a group; if it takes part in several, once for each of them."""
    link = on(service.name, Role.KAFKA.value)
    joins = link.when(matching("kafka", "JoinGroup"))
    with applied(cell, joins.observe().preventable()) as asked:
        early = [service.name] if _is_ready_without(cell, service, joins.nth(1).hold()) else []
        groups = {event["fields"]["group"] for event in asked.evidence()}
    if len(groups) < SEVERAL:
        return early
    holds = {group: link.when(matching("kafka", "JoinGroup", group=group)).nth(1).hold() for group in sorted(groups)}
    too_early = [group for group, hold in holds.items() if _is_ready_without(cell, service, hold)]
    return [f"{service.name} without {group}" for group in too_early]


def _is_ready_without(cell: Cell, service: Service, held_up: Rule) -> bool:
    with (
        ThreadPoolExecutor(1, thread_name_prefix=f"start-of-{service.name}") as starter,
        killed(cell, service.name) as down,
        applied(cell, held_up) as held,
    ):
        starting = starter.submit(down.heal)
        is_held = outcome_of(held, lambda: False, starting.done, WAIT_S) is Hold.HELD
        early = is_held and _shows_itself(starting.done)
        held.release()
        starting.result(WAIT_S)
    return early


def _shows_itself(condition: Callable[[], bool]) -> bool:
    with suppress(WaitTimeout):
        return wait_until(condition, timeout_s=SHOWS_ITSELF_S, describe="it to show itself")
    return False


def _probed(cell: Cell, service: Service) -> tuple[int, int]:
    requests = cell.platform.requests
    return requests.probe(service.name, service.health_path), requests.probe(service.name, service.ready_path)


def _is_well(cell: Cell, service: Service) -> bool:
    return _probed(cell, service) == (200, 200)
