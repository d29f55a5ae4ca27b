from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airproof.cells.logs import parse
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import CLIENT
from airproof.faults.wire import applied
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer, Request
from airproof.wire import Wire, http, on
from airproof_service.mistakes import (
    near_secrets,
    unknown_ids,
    wrong_bodies,
    wrong_ids,
    wrong_keys,
    wrong_places,
    wrong_queries,
)
from airproof_service.stage import TIMED_OUT, WAIT_S, Stage

NOT_RIGHT = frozenset({400, 422})
NOT_THERE = NOT_RIGHT | {401, 404, 405}
SPELLED = ("application/json; charset=utf-8", "Application/JSON")
"""How clients say, too, what kind of content they send."""
SHORT, LONG, LONG_LINE = 7, 100_000, 300


@pytest.mark.covers("SEC-3", "XS-4")
def test_what_is_not_right_is_refused_and_changes_nothing(stage: Stage) -> None:
    """A request with anything in it that may not be there is refused, and does nothing; one without that is not."""
    refused = stage.cell.platform.manifest.refused
    for route in (*stage.routes, *refused):
        known = NOT_RIGHT | {401} if route.access is Access.ANYBODY else NOT_RIGHT
        wrong = (*wrong_bodies(stage, route), *wrong_queries(stage, route), *wrong_keys(stage, route))
        for request in (*wrong, stage.rightful(route)) if route in refused else wrong:
            answer = stage.ask(request)
            promise, expected = "a request that is not right is refused as such", " or ".join(map(str, sorted(known)))
            good = answer is not None and answer.status in known
            stage.demand(good, "CONTRACT", "invalid-accepted", promise, expected, answer, request)
            if answer is None or answer.status == TIMED_OUT:
                # Nor would the next one be answered in time.
                stage.judge()
            _demand_no_echo(stage, answer, request)
            _demand_named(stage, answer, request)
    for route in stage.routes:
        stage.demand_served(route)
        stage.demand_queries(route)
        _demand_kinds(stage, route)
    stage.judge()


@pytest.mark.covers("SEC-3", "GW-2")
def test_a_login_that_fails_does_not_tell_why(stage: Stage) -> None:
    """Whoever does not get in is told the same whatever was wrong, so that nobody learns who has an account."""
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        told: dict[str, Request] = {}
        for request in (*wrong_bodies(stage, route), *near_secrets(stage, route)):
            answer = stage.ask(request)
            if answer is None or answer.status in NOT_RIGHT:
                continue
            told.setdefault(answer.without(), request)
        promise, seen = "who has an account is not told by a login that fails", " or ".join(told)
        for request in list(told.values())[1:]:
            stage.demand(False, "SECURITY", "enumeration", promise, "one answer to all of them", seen, request)
    stage.judge()


@pytest.mark.covers("SEC-3", "GW-1")
def test_a_request_that_is_too_large_is_refused_as_such(stage: Stage) -> None:
    """A body that is larger than the platform takes is refused at the gateway, and others are served on."""
    largest = stage.cell.platform.manifest.largest_request
    if not largest:
        pytest.skip("the manifest does not say how large a request may be")
    for route in (one for one in stage.routes if one.body is not None):
        whole = replace(stage.rightful(route), raw=json.dumps({"x": "x" * largest}).encode())
        for request in (whole, replace(whole, chunked=True)):
            answer = stage.ask(request)
            refused = answer is not None and answer.status == 413
            promise = f"a request that is too large is refused as such{', in pieces too' if request.chunked else ''}"
            stage.demand(refused, "GATEWAY", "too-large", promise, "413", answer, request)
        request = replace(whole, raw=b" " * largest)
        answer = stage.ask(request)
        taken = answer is not None and answer.status in NOT_RIGHT
        promise = "a request that is as large as it may be is not too large"
        stage.demand(taken, "GATEWAY", "not-too-large", promise, "400 or 422", answer, request)
        stage.demand_served(route)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("SEC-3", "GW-1")
def test_who_hangs_up_is_no_fault_of_the_platform(stage: Stage, wire: Wire) -> None:
    """A client that hangs up before it has said all is nobody's fault: no error is logged, and others are served."""
    del wire
    for route in (one for one in stage.reading if one.body is not None):
        path = stage.cell.platform.requests.path(route, stage.about).partition("?")[0]
        said = on(CLIENT, stage.cell.platform.manifest.gateway).when(http.request(path=path)).times(1)
        with applied(stage.cell, said.truncate(LONG // 2)):
            stage.ask(request := replace(stage.rightful(route), raw=b" " * LONG))
        stage.demand_served(route)
        errors = [f"{line.node}: {line.text[:LONG_LINE]}" for line in stage.log_lines() if parse(line).is_error]
        promise = "what a client does is no error of the platform"
        stage.demand(not errors, "GATEWAY", "client-is-an-error", promise, "none in any log", errors[:1], request)
    stage.judge()


@pytest.mark.covers("SEC-3", "XS-4")
def test_what_is_right_is_kept_as_it_was_said(stage: Stage) -> None:
    """A value that is right is kept and shown letter by letter as it was said, and found however it is spelled."""
    platform = stage.cell.platform
    entity = platform.manifest.entity(stage.routes[0].entity)
    access, cached = platform.entities(entity.name), entity.name in {one.entity for one in platform.manifest.caches}
    for version, value in enumerate(entity.unusual, start=2):
        access.update(stage.about, value, expected_version=version - 1)
        if cached:
            platform.cache(entity.name).wait_invalidated(stage.about, version, timeout_s=WAIT_S)
        told = [access.truth(stage.about), access.read(stage.about), access.read(stage.about)]
        if any(one is None or one.value != value for one in told):
            promise, seen = "what is right is taken as it was said", " or ".join(map(str, told))
            stage.anomalies.append(Anomaly("CONTRACT", "changed", promise, repr(value), seen))
    for route in stage.routes:
        _demand_alike(stage, route)
    stage.judge()


@pytest.mark.covers("SEC-1", "SEC-3")
def test_what_is_nearly_a_password_is_none(stage: Stage) -> None:
    """Whoever gets a password wrong in a single letter, or gives a pattern for an address, does not get in."""
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        for request in near_secrets(stage, route):
            answer = stage.ask(request)
            refused = answer is not None and answer.status in NOT_RIGHT | {401}
            promise = "an address and a password are right as a whole only"
            stage.demand(refused, "SECURITY", "near-password", promise, "401", answer, request)
        stage.demand_served(route)
    stage.judge()


@pytest.mark.covers("SEC-3", "XS-4")
def test_what_is_not_there_is_told_in_the_one_shape_of_errors(stage: Stage) -> None:
    """An id that is none, a method or a path that there is not: the client is told, in the one shape of errors."""
    for route in stage.routes:
        unknown = list(unknown_ids(stage, route))
        for request in (*unknown, *wrong_ids(stage, route), *wrong_places(stage, route)):
            answer = stage.ask(request)
            known = {404} if request in unknown else NOT_THERE
            promise, expected = "what is not there is told as such", " or ".join(map(str, sorted(known)))
            told = answer is not None and answer.status in known
            stage.demand(told, "CONTRACT", "not-refused", promise, expected, answer, request)
    stage.judge()


def _demand_alike(stage: Stage, route: Route) -> None:
    """What means the same however it is spelled is taken in any spelling."""
    said = stage.cell.platform.requests.body(route, stage.about)
    for name in route.alike:
        for spelled in (said[name].upper(), f" {said[name]}\t"):
            request = replace(stage.rightful(route), fields={name: spelled})
            answer, promise = stage.ask(request), "what means the same is taken however it is spelled"
            taken = answer is not None and answer.status == route.answered
            stage.demand(taken, "CONTRACT", "spelling-refused", promise, f"status {route.answered}", answer, request)


def _demand_kinds(stage: Stage, route: Route) -> None:
    """However what is sent is said to be JSON, it is taken for that."""
    for spelled in SPELLED if route.body is not None else ():
        request = replace(stage.rightful(route), content_type=spelled)
        answer, promise = stage.ask(request), "a request that is right is not refused for how it says what it sends"
        taken = answer is not None and answer.status not in NOT_RIGHT | {415}
        stage.demand(taken, "CONTRACT", "refused-for-its-kind", promise, f"{spelled} taken", answer, request)


def _demand_named(stage: Stage, answer: Answer | None, request: Request) -> None:
    """Whoever has sent a field that is not right, or left one out, is told which."""
    names = [*request.fields, *filter(None, [request.left_out])]
    named = answer is None or answer.status not in NOT_RIGHT or all(name in answer.text for name in names)
    promise, expected = "who is refused for a field is told which it is", f"{', '.join(names)} in the answer"
    stage.demand(named, "CONTRACT", "field-not-named", promise, expected, answer, request)


def _demand_no_echo(stage: Stage, answer: Answer | None, request: Request) -> None:
    body = stage.cell.platform.requests.body(request.route, request.about)
    sent = {name: value for name, value in {**body, **request.fields}.items() if isinstance(value, str)}
    text = answer.text if answer else ""
    repeated = [name for name, value in sent.items() if len(value) > SHORT and value in text]
    promise, expected = "an error does not repeat what was sent", "names of fields alone"
    seen = f"{answer.status if answer else 0}, with the value of {', '.join(repeated)}"
    stage.demand(not repeated, "SECURITY", "echo", promise, expected, seen, request)
