from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from uuid import uuid4

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.errors import PlatformError
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Request
from airproof_service.stage import UNAVAILABLE, Stage

BEFORE, ROUNDS, REQUESTS, AT_ONCE = 220, 8, 40, 4
"""Before the first round as many things are asked for as are commonly remembered, the last of them, by libraries.

They are more than the connections, too, that a client commonly has.
"""
LETTERS, SHARE = 30_000, 0.25
"""Of what was asked for, how much a service may seem to keep in each of the rounds: memory comes and goes."""


@pytest.mark.covers("XS-3")
def test_a_service_does_not_remember_all_that_it_was_asked_for(stage: Stage) -> None:
    """However many different things are asked for, a service takes no more memory after each of them."""
    path = stage.cell.platform.requests.path(route := _route(stage), stage.about).rpartition("/")[0]
    services = (stage.cell.platform.manifest.gateway, route.service)
    _demand_forgotten(stage, route, services, lambda name: replace(stage.rightful(route), path=f"{path}/{name}"))


@pytest.mark.covers("XS-3", "SEC-1")
def test_a_service_does_not_remember_all_whom_it_has_turned_away(stage: Stage) -> None:
    """However many are turned away, nobody's token makes a service take more memory, and who may ask is served."""
    known, route = stage.cell.platform.manifest, _route(stage)
    _demand_forgotten(
        stage, route, (known.gateway, known.identity), lambda name: replace(stage.rightful(route), token=name)
    )


def _route(stage: Stage) -> Route:
    for route in stage.reading:
        if route.access is Access.TENANT and not route.body:
            return route
    pytest.skip("the manifest declares nothing that is asked for by its path alone")


def _demand_forgotten(
    stage: Stage, route: Route, services: tuple[str, ...], request_with: Callable[[str], Request]
) -> None:
    """A service takes no more memory for what clients name; then who may ask is served."""
    grown, most = dict.fromkeys(services, float("inf")), SHARE * REQUESTS * LETTERS
    stage.demand_served(route)
    _ask_for_others(stage, request_with, BEFORE)
    for _ in range(ROUNDS):
        before = _memory(stage, services)
        _ask_for_others(stage, request_with, REQUESTS)
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
    stage.demand_served(route, "XSERVICE")
    stage.judge()


def _ask_for_others(stage: Stage, request_with: Callable[[str], Request], count: int) -> None:
    """Asks so often with a name that is very long, each time with another one, and is told that it is none.

    Who waits as long as for what hangs has found the service used up: it is asked no more.
    """

    def ask(number: int) -> bool:
        with suppress(PlatformError):
            answer = stage.cell.platform.requests.ask(request_with(f"{uuid4()}-{number}-".ljust(LETTERS, "x")))
            return answer.status not in UNAVAILABLE
        return False

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
        list(takewhile(bool, users.map(ask, range(count))))


def _memory(stage: Stage, services: tuple[str, ...]) -> dict[str, float]:
    return {name: stage.cell.platform.requests.memory_bytes(name) for name in services}
