from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle

import pytest

from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import ServiceToken
from airproof.waiting import wait_until
from airproof_service.stage import REFUSALS, Stage

OUT_OF_TIME = frozenset({ServiceToken.EXPIRED, ServiceToken.ENDLESS, ServiceToken.NOT_YET})
NO_TENANTS = ("a%20b", "a%0a", "x" * 65, "%00", "%e9")
NO_IDS = ("x", "-1", "x" * 36, "%00", "%e9")
MORE_S, EVERY_S = 1.0, 0.03
NOT_RIGHT = frozenset({400, 404, 422})


@pytest.mark.covers("SEC-1", "XS-4")
def test_a_service_answers_its_own_kind_only(stage: Stage) -> None:
    """A service that is asked past the gateway answers nobody who cannot prove to be a service that may ask it now."""
    for route in stage.routes:
        operators = {ServiceToken.OPERATOR} if route.access is Access.OPERATOR else set()
        _demand_identity(stage, route, {ServiceToken.VALID} | operators)
    stage.judge()


@pytest.mark.covers("SEC-1", "XS-4")
def test_a_token_that_was_good_is_so_no_longer_than_it_says(stage: Stage) -> None:
    """What has proved to come from a service proves nothing any more once it has expired, also where it was seen."""
    routes = list({one.service: one for one in stage.routes if not one.changes}.values())
    with ThreadPoolExecutor(len(routes), thread_name_prefix="service") as services:
        asking = [services.submit(stage.cell.platform.requests.ask_service_again, one, stage.about) for one in routes]
    for route, (first, second) in zip(routes, (one.result() for one in asking), strict=True):
        served, refused = first.status not in REFUSALS and first.status < 500, second.status in REFUSALS - {404}
        promise = f"{route.service} takes a token as long as it says, and no longer"
        request, seen = stage.rightful(route), f"{first.status}, and {second.status} when it had expired"
        stage.demand(served and refused, "SECURITY", "expired-token", promise, "an answer, and 401", seen, request)
    stage.judge()


@pytest.mark.covers("SEC-1", "XS-4")
def test_what_lets_services_ask_each_other_does_not_end_meanwhile(stage: Stage) -> None:
    """Whoever may ask is served again and again, for longer than that is good with which services ask each other."""
    if not (lasts_s := stage.cell.platform.manifest.tokens_last_s):
        pytest.skip("the manifest does not say how long a service's token is good")
    until = time.monotonic() + lasts_s + MORE_S
    routes = cycle(stage.reading)

    def served() -> bool:
        stage.demand_served(next(routes), "XSERVICE")
        return bool(stage.anomalies) or time.monotonic() > until

    describe = f"{lasts_s + MORE_S:g} s to pass"
    wait_until(served, timeout_s=2 * (lasts_s + MORE_S), describe=describe, longest_interval_s=EVERY_S)
    stage.judge()


@pytest.mark.covers("SEC-1", "SEC-2")
def test_what_is_closed_is_open_to_nobody_else(stage: Stage) -> None:
    """What is for operators, or for services, is done for nobody else past the gateway; for them only as it may be."""
    for route in stage.cell.platform.manifest.closed:
        right = ServiceToken.OPERATOR if route.access is Access.OPERATOR else ServiceToken.VALID
        _demand_identity(stage, route, {right})
        _demand_alike_again(stage, route, right)
        _demand_valid(stage, route, right)
    stage.judge()


def _demand_identity(stage: Stage, route: Route, right: Collection[ServiceToken]) -> None:
    """Who shows something else is refused and changes nothing; then those who show the right thing are answered."""
    for token in sorted(ServiceToken, key=lambda one: one in right):
        answer = stage.cell.platform.requests.ask_service(route, stage.about, token)
        open_ = answer.status not in {401, 403} and answer.status < 500
        good = open_ if token in right else answer.status in REFUSALS - {404}
        stage.demand_shape(answer, stage.rightful(route))
        promise = f"{route.name} is answered by {route.service} to who may ask past the gateway, and to nobody else"
        expected, seen = "an answer" if token in right else "401 or 403", f"{answer} to {token.value}"
        blames = "SECURITY" if token in OUT_OF_TIME else "XSERVICE"
        stage.demand(good, blames, "stranger-served", promise, expected, seen, stage.rightful(route))


def _demand_alike_again(stage: Stage, route: Route, right: ServiceToken) -> None:
    """What has been done before is answered as it was then, and as clients reckon with: nothing more has to be done."""
    first, again = (stage.cell.platform.requests.ask_service(route, stage.about, right) for _ in range(2))
    promise, expected = "what is asked for again is answered as before", first.without()
    good = again.without() == expected and again.status < 500
    stage.demand(good, "CONTRACT", "answered-otherwise", promise, expected, again.without(), stage.rightful(route))
    stage.demand_shown(first, stage.rightful(route))


def _demand_valid(stage: Stage, route: Route, right: ServiceToken) -> None:
    """What may not be there, in the body, as a tenant or as an id, is refused."""
    asked = [(stage.about, {name: value}) for name, values in route.invalid.items() for value in values]
    if "{tenant}" in route.path:
        asked += [(replace(stage.about, tenant=Tenant(one)), {}) for one in NO_TENANTS]
    if "{id}" in route.path:
        asked += [(replace(stage.about, id=one), {}) for one in NO_IDS]
    for about, fields in asked:
        answer = stage.cell.platform.requests.ask_service(route, about, right, fields)
        request = replace(stage.rightful(route), about=about, fields=fields)
        promise = "a request that is not right is refused as such"
        good = answer.status in NOT_RIGHT
        stage.demand(good, "CONTRACT", "invalid-accepted", promise, "400, 404 or 422", answer, request)
        stage.demand_shape(answer, request)
