"""What colleagues are told of somebody who comes or goes."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess
from airproof.platform.manifest import Route
from airproof.platform.requests import Request
from airproof_service.stage import Stage


@pytest.mark.destructive
@pytest.mark.covers("SEC-2", "SAGA-1")
def test_who_is_gone_is_told_as_who_never_was(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess
) -> None:
    """As soon as somebody is removed, their colleagues, who have just seen them, are told the same as of nobody."""
    colleague = entities.create(tenant)
    with entities.passing(tenant) as ref:
        stage = Stage(cell, ref)
        for route in routes:
            stage.demand_served(route, by=colleague)
    nobody = replace(ref, id=str(uuid4()), owner=str(uuid4()))
    for route in routes:
        gone, never = (Request(route, about, user=colleague) for about in (ref, nobody))
        told = [(stage.ask(one), one.about) for one in (gone, never)]
        seen, expected = [one.without(about.id, about.owner) if one else "no answer" for one, about in told]
        promise = "who is gone is told as who never was"
        stage.demand(seen == expected, "CACHE", "told-after-its-end", promise, expected, seen, gone)
    stage.judge()


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
