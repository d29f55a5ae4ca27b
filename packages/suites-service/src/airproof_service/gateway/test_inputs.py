from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Request
from airproof_service.gateway.stage import Stage

NOT_RIGHT = frozenset({400, 422})
NO_BODIES = (b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"x": "\\ud800"}', b"[" * 2000)


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant."""
    return Stage.of(cell, tenant)


@pytest.mark.covers("SEC-3", "XS-4")
def test_what_is_not_right_is_refused_and_changes_nothing(stage: Stage) -> None:
    """A request with anything in it that may not be there is refused, in the one shape of errors; nothing is done."""
    for route in stage.routes:
        known = NOT_RIGHT | {401} if route.access is Access.ANYBODY else NOT_RIGHT
        for request in _wrong(stage, route):
            answer = stage.ask(request)
            refused = answer is not None and answer.status in known
            promise, expected = "a request that is not right is refused as such", "400 or 422"
            stage.demand(refused, "CONTRACT", "invalid-accepted", promise, expected, answer, request)
            shaped = answer is not None and bool(answer.error) and answer.readable
            promise, expected = "every error has the one shape of errors", "code and message, as JSON"
            stage.demand(shaped, "CONTRACT", "error-shape", promise, expected, answer, request)
    for route in stage.routes:
        stage.demand_served(route)
    stage.judge()


@pytest.mark.covers("SEC-3", "GW-2")
def test_a_login_that_fails_does_not_tell_why(stage: Stage) -> None:
    """Whoever does not get in is told the same whatever was wrong, so that nobody learns who has an account."""
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        told: dict[str, Request] = {}
        for request in _wrong(stage, route):
            answer = stage.ask(request)
            if answer is None or answer.status in NOT_RIGHT:
                continue
            text = f"{answer.status} {answer.text}"
            for own in answer.correlation_ids:
                text = text.replace(own, "…")
            told.setdefault(text, request)
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
        request = replace(stage.rightful(route), raw=json.dumps({"x": "x" * largest}).encode())
        answer = stage.ask(request)
        refused = answer is not None and answer.status == 413
        promise = "a request that is too large is refused as such"
        stage.demand(refused, "GATEWAY", "too-large", promise, "413", answer, request)
        stage.demand_served(route)
    stage.judge()


def _wrong(stage: Stage, route: Route) -> Iterator[Request]:
    """The rightful request, with one thing in it that may not be there."""
    rightful = stage.rightful(route)
    for name, values in route.invalid.items():
        for value in values:
            yield replace(rightful, fields={name: value})
    if route.body is not None:
        for raw in NO_BODIES:
            yield replace(rightful, raw=raw)
