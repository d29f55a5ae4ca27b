from __future__ import annotations

import time
from uuid import uuid4

import pytest

from airproof.platform.manifest import Access, Route
from airproof.platform.requests import ServiceToken
from airproof_service.stage import Stage

LOGINS, ROUNDS = 20, 10
SHARE = 0.2
"""How much quicker the quickest of all logins may be although they take as long: on a busy machine few are quick."""


@pytest.mark.covers("SEC-3", "GW-2")
def test_how_long_a_login_takes_does_not_tell_who_has_an_account(stage: Stage) -> None:
    """A login takes as long with an address of nobody as with a wrong password, of a locked account too."""
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        _demand_as_long(stage, route)
        with stage.cell.platform.sessions.locked(stage.about):
            _demand_as_long(stage, route)
        _demand_let_in(stage, route)
    stage.judge()


def _demand_as_long(stage: Stage, route: Route) -> None:
    somebodys = nobodys = float("inf")
    for _ in range(ROUNDS):
        somebodys, nobodys = map(min, (somebodys, nobodys), _quickest_s(stage, route))
        told = min(somebodys, nobodys) < (1 - SHARE) * max(somebodys, nobodys)
        if not told:
            break
    promise = "a login takes as long whether there is such an account or not, or one that is locked"
    expected, seen = f"{somebodys * 1000:.2f} ms, as where there is one", f"{nobodys * 1000:.2f} ms"
    stage.demand(not told, "SECURITY", "enumeration", promise, expected, seen, stage.rightful(route))


def _demand_let_in(stage: Stage, route: Route) -> None:
    request = stage.rightful(route)
    answer, promise = stage.ask(request), "who has the password gets in, however many have guessed at it before"
    let_in = answer is not None and answer.status < 400
    stage.demand(let_in, "SECURITY", "locked-out-by-others", promise, "a login", answer, request)


def _quickest_s(stage: Stage, route: Route) -> tuple[float, float]:
    """How long the quickest login of somebody takes, and of nobody; they are made past the gateway, in changing order.

    Each time it is another password, so that nothing of it can be known but what was found out for nobody else.
    """
    meant = {text: name for name, text in (route.body or {}).items()}
    another, nobody = ({meant["{email}"]: f"{name}@{stage.about.tenant.id}.example"} for name in ("another", "nobody"))
    both, quickest_s = [(0, dict[str, str]()), (1, nobody)], [float("inf")] * 2
    for number in range(LOGINS):
        wrong = {meant["{password}"]: f"wrong-{uuid4()}"}
        _login_s(stage, route, another | wrong)
        for which, who in both if number % 2 else reversed(both):
            quickest_s[which] = min(quickest_s[which], _login_s(stage, route, who | wrong))
    return quickest_s[0], quickest_s[1]


def _login_s(stage: Stage, route: Route, fields: dict[str, str]) -> float:
    """How long it takes to be told that this is not right."""
    began = time.perf_counter()
    answer = stage.cell.platform.requests.ask_service(route, stage.about, ServiceToken.VALID, fields)
    took_s = time.perf_counter() - began
    promise, request = "a login that fails is told as such, however many have failed", stage.rightful(route)
    stage.demand(answer.status == 401, "CONTRACT", "wrong-status", promise, "401", answer, request)
    return took_s
