from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.waiting import wait_until
from airproof.wire import Wire, on, postgres
from airproof_service.stage import WAIT_S, Stage

REST_S, MOST, DAYS = 1.0, 30, 2
TRIES, SHARE = 3, 0.05
"""Of a processor a service may take so much at rest, in one of some tries."""


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-3")
def test_who_has_nothing_to_do_leaves_the_database_in_peace(cell: Cell, tenant: Tenant, wire: Wire) -> None:
    """A service that has done its work, and be it days ago, asks its database now and then at most, and rests."""
    del wire
    stage = Stage.of(cell, tenant)
    cell.barrier(WAIT_S)
    services = [one.name for one in cell.platform.manifest.services if one.database]
    for name in services:
        cell.platform.age(name, DAYS)
    with ExitStack() as rules:
        asked = {
            name: rules.enter_context(
                applied(cell, on(name, "postgres-*").when(postgres.query()).observe().preventable())
            )
            for name in services
        }
        used = _used_at_rest(cell)
        counts = {name: rule.fired for name, rule in asked.items()}
    if busy := [f"{count} of {name}" for name, count in counts.items() if count > MOST]:
        promise = "who has nothing to do leaves the database in peace"
        expected, seen = f"at most {MOST} queries of a service in {REST_S:g} s", ", ".join(busy)
        stage.anomalies.append(Anomaly("PERF", "busy-at-rest", promise, expected, seen))
    for _ in range(TRIES - 1):
        if max(used.values()) > SHARE:
            used = {name: min(used[name], share) for name, share in _used_at_rest(cell).items()}
    if restless := [f"{share:.0%} by {name}" for name, share in used.items() if share > SHARE]:
        promise, expected = "who has nothing to do leaves the processors to others", f"at most {SHARE:.0%} of one"
        stage.anomalies.append(Anomaly("PERF", "restless", promise, expected, ", ".join(restless)))
    stage.judge()


def _used_at_rest(cell: Cell) -> dict[str, float]:
    """How much of a processor each service uses for a while."""
    told, names = cell.platform.requests.processor_s, [one.name for one in cell.platform.manifest.services]
    before = {name: (time.monotonic(), told(name)) for name in names}
    later = time.monotonic() + REST_S
    wait_until(lambda: time.monotonic() > later, timeout_s=WAIT_S, describe=f"{REST_S:g} s to pass")
    used = {name: (told(name) - was) / (time.monotonic() - at) for name, (at, was) in before.items()}
    cell.history.note("the services have rested", used=used)
    return used
