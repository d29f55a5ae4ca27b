from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from airproof.platform.manifest import Access, Route
from airproof.platform.requests import ServiceToken
from airproof_service.stage import Stage

LOGINS, ROUNDS = 20, 3
SHARE = 0.25
"""How much quicker the quickest of some logins may be although all of them take as long."""


@pytest.mark.covers("SEC-3", "GW-2")
def test_how_long_a_login_takes_does_not_tell_who_has_an_account(stage: Stage) -> None:
    """A login takes as long without an account as with a wrong password; however many fail, the right one works."""
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        meant = {text: name for name, text in (route.body or {}).items()}
        wrong = {meant["{password}"]: f"wrong-{stage.about.id}"}
        nobody = {**wrong, meant["{email}"]: f"nobody@{stage.about.tenant.id}.example"}
        for _ in range(ROUNDS):
            somebodys, nobodys = _quickest_s(stage, route, wrong, nobody)
            told = nobodys < (1 - SHARE) * somebodys
            if not told:
                break
        promise = "a login takes as long whether there is such an account or not"
        expected, seen = f"{somebodys * 1000:.2f} ms, as where there is one", f"{nobodys * 1000:.2f} ms"
        stage.demand(not told, "SECURITY", "enumeration", promise, expected, seen, stage.rightful(route))
        _demand_let_in(stage, route)
    stage.judge()


def _demand_let_in(stage: Stage, route: Route) -> None:
    request = stage.rightful(route)
    answer, promise = stage.ask(request), "who has the password gets in, however many have guessed at it before"
    let_in = answer is not None and answer.status < 400
    stage.demand(let_in, "SECURITY", "locked-out-by-others", promise, "a login", answer, request)


def _quickest_s(stage: Stage, route: Route, *asked: Mapping[str, str]) -> list[float]:
    """How long the quickest of each kind takes; they are made in turn, past the gateway."""
    quickest = [float("inf")] * len(asked)
    for _ in range(LOGINS):
        for number, fields in enumerate(asked):
            began = time.perf_counter()
            answer = stage.cell.platform.requests.ask_service(route, stage.about, ServiceToken.VALID, fields)
            quickest[number] = min(quickest[number], time.perf_counter() - began)
            promise, request = "a login that fails is told as such, however many have failed", stage.rightful(route)
            stage.demand(answer.status == 401, "CONTRACT", "wrong-status", promise, "401", answer, request)
    return quickest
