from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.platform.manifest import Access, Route
from airproof_service.stage import Stage

BEFORE, ROUNDS, REQUESTS, AT_ONCE = 130, 8, 40, 4
"""Before the first round as many things are asked for as are commonly remembered, the last of them, by libraries."""
LETTERS, SHARE = 30_000, 0.25
"""Of what was asked for, how much a service may seem to keep in each of the rounds: memory comes and goes."""


@pytest.mark.covers("XS-3")
def test_a_service_does_not_remember_all_that_it_was_asked_for(stage: Stage) -> None:
    """However many different things are asked for, a service takes no more memory after each of them."""
    route = next((one for one in stage.reading if one.access is Access.TENANT and not one.body), None)
    if route is None:
        pytest.skip("the manifest declares nothing that is asked for by its path alone")
    services = (stage.cell.platform.manifest.gateway, route.service)
    grown, most = dict.fromkeys(services, float("inf")), SHARE * REQUESTS * LETTERS
    stage.demand_served(route)
    _ask_for_others(stage, route, BEFORE)
    for _ in range(ROUNDS):
        before = _memory(stage, services)
        _ask_for_others(stage, route, REQUESTS)
        more = {name: now - before[name] for name, now in _memory(stage, services).items()}
        stage.cell.history.note("other things were asked for", more_bytes=more)
        grown = {name: min(least, more[name]) for name, least in grown.items()}
        if max(grown.values()) <= most:
            break
    if kept := [f"{least / 2**20:.1f} MB more of {name}" for name, least in grown.items() if least > most]:
        promise = "a service does not remember all that it was ever asked for"
        expected = f"at most {most / 2**20:.1f} MB more in one of {ROUNDS} rounds of {REQUESTS} requests"
        seen = f"{', '.join(kept)} in each"
        stage.anomalies.append(Anomaly("PERF", "remembers-for-ever", promise, expected, seen, (route.name,)))
    stage.judge()


def _ask_for_others(stage: Stage, route: Route, count: int) -> None:
    """Asks for what is not there, each time for something else, whose name is very long."""
    path = stage.cell.platform.requests.path(route, stage.about).rpartition("/")[0]

    def ask(number: int) -> None:
        name = f"{uuid4()}-{number}-".ljust(LETTERS, "x")
        stage.cell.platform.requests.ask(replace(stage.rightful(route), path=f"{path}/{name}"))

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
        list(users.map(ask, range(count)))


def _memory(stage: Stage, services: tuple[str, ...]) -> dict[str, float]:
    return {name: stage.cell.platform.requests.memory_bytes(name) for name in services}
