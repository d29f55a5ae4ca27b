from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.errors import WaitTimeout
from airproof.history import Explanation
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Access, Saga
from airproof.platform.requests import Request
from airproof.waiting import wait_until
from airproof_service.mistakes import unknown_ids
from airproof_service.stage import Stage

COUNTED_WITHIN_S, AT_ONCE = 1.0, 2
"""Requests are made one after the other here; meanwhile somebody else may ask too."""


@pytest.mark.covers("XS-3", "SEC-3")
def test_what_a_service_counts_does_not_grow_with_its_users(cell: Cell, tenant: Tenant) -> None:
    """What a service counts and measures is told for all together, and not for each user or thing there is."""
    stage = Stage.of(cell, tenant)
    for route in stage.routes:
        for request in (stage.rightful(route), *unknown_ids(stage, route)):
            stage.ask(request)
    requests, about = cell.platform.requests, stage.about
    own = (about.id, about.owner, tenant.id, *requests.personal(tenant))
    told = {one.name: requests.counted(one.name).lower() for one in cell.platform.manifest.services}
    if grown := sorted(name for name, text in told.items() if any(one in text for one in own)):
        promise = "what a service counts does not grow with its users"
        seen = f"lines of their own for a user or what is theirs at {', '.join(grown)}"
        stage.anomalies.append(Anomaly("PERF", "counts-for-each", promise, "figures for all", seen))
    if silent := sorted(name for name, text in told.items() if not text):
        promise = "every service tells what it counts"
        stage.anomalies.append(Anomaly("PERF", "counts-nothing", promise, "figures", ", ".join(silent)))
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("XS-3", "XS-4")
def test_what_is_answered_is_counted_as_it_is(cell: Cell, tenant: Tenant) -> None:
    """Whatever a service answers, also when it fails, is counted under its status and timed, where operators look."""
    stage, began = Stage.of(cell, tenant), time.monotonic()
    took = {one.name: cell.platform.requests.answered_in_s(one.name) for one in cell.platform.manifest.services}
    for route in stage.reading:
        for request in (stage.rightful(route), *unknown_ids(stage, route)):
            _demand_counted(stage, request)
    other = replace(stage.about, tenant=Tenant(f"{tenant.id}-other"))
    for saga in cell.platform.manifest.sagas:
        for route in (one for one in stage.routes if one.access is Access.OPERATOR and "{tenant}" in one.path):
            with _left_by_another_version(stage, saga, other.tenant):
                _demand_counted(stage, replace(stage.rightful(route), about=other))
    most_s = AT_ONCE * (time.monotonic() - began)
    told = {name: cell.platform.requests.answered_in_s(name) - before for name, before in took.items()}
    if wrong := [f"{name} {seconds:.3g} s" for name, seconds in told.items() if not 0 < seconds < most_s]:
        promise, expected = "how long answers take is told in seconds", f"more than none, less than {most_s:.1f} s"
        stage.anomalies.append(Anomaly("PERF", "timed-wrong", promise, expected, ", ".join(wrong)))
    stage.judge()


@contextmanager
def _left_by_another_version(stage: Stage, saga: Saga, tenant: Tenant) -> Iterator[None]:
    explained = Explanation(saga.orchestrator, logger="*", because="a saga of another version is an error")
    waiting = stage.cell.platform.sagas(saga.name).waiting(tenant, 1)
    with stage.cell.history.fault("others waiting", saga.orchestrator, explains=[explained]) as record, waiting:
        record.evidence("some are of another version")
        yield
        record.healed("they are gone")


def _demand_counted(stage: Stage, request: Request) -> None:
    """The gateway counts the answer that it gives, and the service behind it the same, or one that is told so."""
    known = stage.cell.platform.manifest
    counted = stage.cell.platform.requests.answered
    nodes = (known.gateway, request.route.service)
    before = {node: dict(counted(node)) for node in nodes}
    answer = stage.ask(request)
    if answer is None:
        return
    for node in nodes:
        expected = f"one {answer.status} more of {node}"

        def more(node: str = node, status: int = answer.status) -> float:
            return counted(node).get(status, 0) - before[node].get(status, 0)

        with suppress(WaitTimeout):
            wait_until(more, timeout_s=COUNTED_WITHIN_S, describe=expected)
        promise = "what is answered is counted as it is"
        stage.demand(more() >= 1, "PERF", "counted-wrong", promise, expected, f"{more():g} more", request)
