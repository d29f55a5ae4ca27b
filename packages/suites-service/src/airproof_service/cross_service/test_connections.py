from __future__ import annotations

from contextlib import ExitStack

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.faults.wire import applied
from airproof.wire import Wire, on, opened
from airproof_service.stage import Stage

ROUNDS, MOST = 8, 3


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-3")
def test_connections_are_used_again(cell: Cell, stage: Stage, wire: Wire) -> None:
    """Requests that follow one another are served over the connections that are there already, to whatever that is."""
    del wire
    for route in stage.reading:
        stage.demand_served(route)
    with ExitStack() as rules:
        made = {
            one.name: rules.enter_context(applied(cell, on(one.name, "*").when(opened()).observe().preventable()))
            for one in cell.platform.manifest.services
        }
        # One after the other: who is asked for nothing for a while closes its connection.
        for route in stage.reading:
            for _ in range(ROUNDS):
                stage.demand_served(route)
        counts = {name: rule.fired for name, rule in made.items()}
    if wasteful := [f"{count} of {name}" for name, count in counts.items() if count > MOST]:
        promise = "a connection is used again, and not made anew for each request"
        expected = f"at most {MOST} new ones of a service for {ROUNDS} requests of each kind"
        stage.anomalies.append(Anomaly("PERF", "connections-made-anew", promise, expected, ", ".join(wasteful)))
    stage.judge()
