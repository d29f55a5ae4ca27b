"""What colleagues are told of somebody who comes or goes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess, EntityRef
from airproof.platform.manifest import Route
from airproof.platform.requests import Answer, Request
from airproof.waiting import wait_until
from airproof.wire import Wire, on, postgres
from airproof.wire.holding import outcome_of
from airproof_service.stage import UNAVAILABLE, WAIT_S, Stage

OVERTAKES_S = 0.5
"""How long somebody is given to overtake what is held."""


@pytest.mark.destructive
@pytest.mark.covers("SEC-2", "SAGA-1")
def test_who_is_gone_is_told_as_who_never_was(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess, wire: Wire
) -> None:
    """As soon as somebody is removed colleagues are told the same as of nobody, or that nothing can be told now."""
    del wire
    colleague = entities.create(tenant)
    with entities.passing(tenant) as ref:
        stage = Stage(cell, ref)
        for route in routes:
            stage.demand_served(route, by=colleague)
    for gone in (Request(route, ref, user=colleague) for route in routes):
        remembered = _told_without_a_database(stage, gone)
        expected = _demand_as_nobody(stage, gone, stage.ask(gone))
        promise = "who is gone is told as who never was, or as what cannot be told now, while that cannot be looked up"
        stage.demand(remembered in ("", expected), "CACHE", "told-after-its-end", promise, expected, remembered, gone)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("SEC-2", "SAGA-1")
def test_who_is_removed_while_they_are_looked_up_is_told_as_who_never_was(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess, wire: Wire
) -> None:
    """Whoever is removed while they are looked up for a colleague is told as nobody to who asks after that."""
    del wire
    colleague = entities.create(tenant)
    with ThreadPoolExecutor(2 * len(routes), thread_name_prefix="page") as pages, ExitStack() as looking:
        with entities.passing(tenant) as ref:
            stage, requests = Stage(cell, ref), [Request(route, ref, user=colleague) for route in routes]
            for request in requests:
                _wait_settled(stage, request)
                found = on(request.route.service, "postgres-*").when(postgres.query(containing=ref.owner)).times(1)
                held = looking.enter_context(applied(cell, found.after().hold().preventable()))
                early = pages.submit(stage.ask, request)
                outcome_of(held, lambda: False, early.done, WAIT_S)
        late = [pages.submit(stage.ask, request) for request in requests]
        # Who waits for what is held instead is caught by what they are told then.
        wait(late, OVERTAKES_S)
        looking.close()
        answers = [one.result(WAIT_S) for one in late]
    for gone, answer in zip(requests, answers, strict=True):
        _demand_as_nobody(stage, gone, answer)
    stage.judge()


def _told(answer: Answer | None, about: EntityRef) -> str:
    return answer.without(about.id, about.owner) if answer else "no answer"


def _told_without_a_database(stage: Stage, request: Request) -> str:
    """What is told while the service's database breaks off what it is asked; empty if it is that nothing can be."""
    with ExitStack() as broken:
        for named in (request.about.id, request.about.owner):
            asked = on(request.route.service, "postgres-*").when(postgres.query(containing=named))
            broken.enter_context(applied(stage.cell, asked.reset().preventable()))
        answer = stage.ask(request)
    return "" if answer is not None and answer.status in UNAVAILABLE else _told(answer, request.about)


@pytest.mark.destructive
@pytest.mark.covers("SEC-2", "SAGA-1")
def test_who_was_asked_about_too_early_is_told_as_anybody(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess
) -> None:
    """Whoever was asked about before they might do anything is told like anybody else as soon as they may."""
    colleague, allowed = entities.create(tenant), cell.platform.requests.allowed
    with entities.coming(tenant) as ref:
        stage = Stage(cell, ref)
        for route in routes:
            stage.ask(Request(route, ref, user=colleague))
        said = [(action, False, allowed(colleague, ref, action, whom=ref)) for action in entities.entity.granted]
    said += [(action, True, allowed(colleague, ref, action, whom=ref)) for action in entities.entity.granted]
    for action, right, told in said:
        if told is not right:
            promise = f"the owner may {'by now' if right else 'not yet'} {action} {entities.entity.name} {ref.id}"
            stage.anomalies.append(Anomaly("CACHE", "wrong-permission", promise, str(right), str(told)))
    for route in routes:
        stage.demand_served(route, by=colleague)
    stage.judge()


def _wait_settled(stage: Stage, request: Request) -> None:
    """Nobody but who asks looks them up any more."""

    def settled() -> bool:
        answer = stage.ask(request)
        return answer is not None and all(answer.at(at) == value for at, value in request.route.settled.items())

    wait_until(settled, timeout_s=WAIT_S, describe=f"{request.route.name} to show {request.route.settled}")


def _demand_as_nobody(stage: Stage, gone: Request, answer: Answer | None) -> str:
    """Demands that the answer is what is told of nobody, and returns that."""
    nobody = replace(gone.about, id=str(uuid4()), owner=str(uuid4()))
    seen, expected = _told(answer, gone.about), _told(stage.ask(replace(gone, about=nobody)), nobody)
    promise = "who is gone is told as who never was"
    stage.demand(seen == expected, "CACHE", "told-after-its-end", promise, expected, seen, gone)
    return expected
