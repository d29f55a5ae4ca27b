"""What colleagues are told of somebody who comes or goes."""

from __future__ import annotations

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
from airproof.wire import Wire, on, postgres
from airproof_service.stage import UNAVAILABLE, Stage


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
    nobody = replace(ref, id=str(uuid4()), owner=str(uuid4()))
    for route in routes:
        gone, never = (Request(route, about, user=colleague) for about in (ref, nobody))
        remembered = _told_without_a_database(stage, gone)
        seen, expected = (_told(stage.ask(one), one.about) for one in (gone, never))
        promise = "who is gone is told as who never was"
        stage.demand(seen == expected, "CACHE", "told-after-its-end", promise, expected, seen, gone)
        promise += ", or as what cannot be told now, while that cannot be looked up"
        stage.demand(remembered in ("", expected), "CACHE", "told-after-its-end", promise, expected, remembered, gone)
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
