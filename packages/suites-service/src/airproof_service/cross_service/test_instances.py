from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess, EntityRef
from airproof.platform.manifest import Route
from airproof.platform.requests import Answer, ServiceToken
from airproof_service.stage import Stage


@pytest.mark.doubled
@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-2")
def test_every_instance_knows_who_is_gone(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess
) -> None:
    """Whichever instance of a service is asked about somebody who was removed, it tells the same as of nobody."""
    with entities.passing(tenant) as ref:
        stage = Stage(cell, ref)
        for route, node, answer in _asked(stage, routes, ref):
            _demand_shown(stage, route, node, answer)
    nobody = replace(ref, id=str(uuid4()), owner=str(uuid4()))
    never = [answer.without(nobody.id, nobody.owner) for _, _, answer in _asked(stage, routes, nobody)]
    for (route, node, answer), expected in zip(_asked(stage, routes, ref), never, strict=True):
        seen = answer.without(ref.id, ref.owner)
        promise = f"{node} tells who is gone as who never was"
        stage.demand(seen == expected, "CACHE", "told-after-its-end", promise, expected, seen, stage.rightful(route))
    stage.judge()


@pytest.mark.doubled
@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-2")
def test_every_instance_knows_who_has_come(
    cell: Cell, tenant: Tenant, routes: list[Route], entities: EntityAccess
) -> None:
    """Whichever instance of a service was asked about somebody too early, it tells of them as soon as they are."""
    with entities.coming(tenant) as ref:
        stage = Stage(cell, ref)
        for _ in _asked(stage, routes, ref):
            pass
    for route, node, answer in _asked(stage, routes, ref):
        _demand_shown(stage, route, node, answer)
    stage.judge()


def _asked(stage: Stage, routes: list[Route], about: EntityRef) -> Iterator[tuple[Route, str, Answer]]:
    """Asks every instance for every route, in the gateway's place."""
    for route in routes:
        for node in stage.cell.description.instances(route.service):
            answer = stage.cell.platform.requests.ask_service(route, about, ServiceToken.VALID, node=node.name)
            yield route, node.name, answer


def _demand_shown(stage: Stage, route: Route, node: str, answer: Answer) -> None:
    known = stage.cell.platform.requests.shown(route, stage.about)
    seen = {place: answer.at(place) for place in known}
    promise = f"{node} shows what there is"
    stage.demand(seen == known, "CACHE", "not-shown", promise, str(known), answer, stage.rightful(route))
