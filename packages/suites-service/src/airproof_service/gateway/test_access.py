from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Request, Session
from airproof_service.gateway.stage import REFUSALS, Stage

IN_A_ROW = 15


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant, which everybody asks for."""
    return Stage.of(cell, tenant)


@pytest.mark.smoke
@pytest.mark.covers("GW-1", "GW-2", "SEC-2")
def test_nobody_gets_what_is_not_theirs(stage: Stage) -> None:
    """Of all who ask for something, only those who may are served, whoever they pretend to be."""
    entities = stage.cell.platform.entities(stage.routes[0].entity)
    colleague = entities.create(stage.about.tenant)
    stranger = entities.create(Tenant(f"{stage.about.tenant.id}-other"))
    for route in stage.routes:
        for request in _intruders(stage, route, colleague, stranger):
            answer = stage.ask(request)
            refused = answer is not None and answer.status in REFUSALS
            promise = f"{route.name} is for {route.access.value} alone"
            blames = "GATEWAY" if request.pretended else "SECURITY"
            stage.demand(refused, blames, "served-to-another", promise, "401, 403 or 404", answer, request)
        for other in (colleague, stranger):
            _demand_own_only(stage, route, other)
    for route in stage.routes:
        stage.demand_served(route)
    stage.judge()


@pytest.mark.covers("GW-1", "GW-2", "SEC-1")
def test_no_spelling_of_a_path_opens_it(stage: Stage) -> None:
    """However the path of something that is not public is spelled, nobody without a token is served."""
    for route in (one for one in stage.routes if one.access is not Access.ANYBODY):
        path, query, parameters = stage.cell.platform.requests.path(route, stage.about).partition("?")
        for spelled in _spellings(path):
            request = Request(route, stage.about, Session.NONE, path=f"{spelled}{query}{parameters}")
            answer = stage.ask(request)
            closed = answer is not None and 400 <= answer.status < 500
            promise = "no spelling of a path lets somebody in who is not logged in"
            stage.demand(closed, "GATEWAY", "open-variant", promise, "a refusal", answer, request)
    stage.judge()


@pytest.mark.covers("GW-1", "XS-3")
def test_requests_use_nothing_up(stage: Stage) -> None:
    """Of many requests of a kind in a row each is answered, the last like the first."""
    for route in (one for one in stage.routes if not one.changes):
        for _ in range(IN_A_ROW):
            stage.demand_served(route)
            if stage.anomalies:
                stage.judge()
    stage.judge()


@pytest.mark.covers("XS-4", "GW-2")
def test_one_correlation_id_from_the_user_to_the_last_service(stage: Stage) -> None:
    """The correlation id of a request is that of its answer, whoever of the services behind the gateway gives it."""
    missing = replace(stage.about, id=str(uuid4()), owner=str(uuid4()))
    for route in (one for one in stage.routes if not one.changes):
        mine = f"corr-{stage.about.id}-{route.name}"
        request = replace(stage.rightful(route), about=missing, user=stage.about, correlation_id=mine)
        answer = stage.ask(request)
        alike = answer is not None and set(answer.correlation_ids) == {mine}
        seen = ", ".join(answer.correlation_ids) or "none" if answer else "no answer"
        stage.demand(alike, "GATEWAY", "correlation-lost", "the correlation id reaches every hop", mine, seen, request)
    stage.judge()


@pytest.mark.covers("SEC-2")
def test_what_somebody_may_do_is_said_truly(stage: Stage) -> None:
    """Who may do what with something is said as it is: its owner what is granted, and nobody else anything."""
    entity = stage.cell.platform.manifest.entity(stage.routes[0].entity)
    entities = stage.cell.platform.entities(entity.name)
    stranger = entities.create(Tenant(f"{stage.about.tenant.id}-other"))
    others = {"a colleague": entities.create(stage.about.tenant), "a stranger": stranger}
    for who, user in {"the owner": stage.about, **others}.items():
        for action in (*entity.granted, *entity.denied):
            right = user is stage.about and action in entity.granted
            said = stage.cell.platform.requests.allowed(user, stage.about, action)
            promise = f"{who} may {'' if right else 'not '}{action} {entity.name} {stage.about.id}"
            if said is not right:
                stage.anomalies.append(Anomaly("SECURITY", "wrong-permission", promise, str(right), str(said)))
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_a_session_ends_with_its_account(cell: Cell, tenant: Tenant) -> None:
    """Whoever was logged in when the platform removed them is nobody from then on."""
    personal = [
        one for one in cell.platform.manifest.routes if one.access in {Access.OWNER, Access.USER, Access.TENANT}
    ]
    if not personal:
        pytest.skip("the manifest declares no routes for users")
    with cell.platform.entities(personal[0].entity).passing(tenant) as ref:
        stage = Stage(cell, ref)
        stage.demand_served(next(one for one in personal if one.access is Access.USER))
    for route in personal:
        request = Request(route, ref)
        answer = stage.ask(request)
        closed = answer is not None and answer.status == 401
        promise = "a session ends with its account"
        stage.demand(closed, "SECURITY", "served-to-nobody", promise, "401", answer, request)
    stage.judge()


def _intruders(stage: Stage, route: Route, colleague: EntityRef, stranger: EntityRef) -> Iterator[Request]:
    """Requests of all those who may not make it."""
    if route.access is Access.ANYBODY:
        return
    nobody = Request(route, stage.about, Session.NONE)
    yield nobody
    yield replace(nobody, pretended=stage.about)
    yield replace(nobody, session=Session.FORGED)
    yield replace(nobody, session=Session.NO_OPERATOR)
    yield replace(nobody, session=Session.LOGGED_OUT)
    yield replace(nobody, session=Session.EXCHANGED)
    if route.access is Access.OPERATOR:
        yield replace(nobody, session=Session.USER)
    if route.access in {Access.OWNER, Access.TENANT}:
        yield replace(nobody, session=Session.USER, user=stranger)
        yield replace(nobody, session=Session.USER, user=stranger, pretended=stage.about)
    if route.access is Access.OWNER:
        yield replace(nobody, session=Session.USER, user=colleague)
        yield replace(nobody, session=Session.USER, user=colleague, pretended=stage.about)


def _demand_own_only(stage: Stage, route: Route, other: EntityRef) -> None:
    """Where everybody is shown something, it is theirs."""
    if route.access is not Access.USER:
        return
    request = Request(route, stage.about, user=other)
    answer = stage.ask(request)
    theirs = answer is not None and stage.about.id not in answer.text and other.id in answer.text
    promise = f"in {route.name} everybody sees what is theirs, and nothing else"
    stage.demand(theirs, "TENANCY", "shown-to-another", promise, f"{other.id} alone", answer, request)


def _spellings(path: str) -> Iterator[str]:
    yield path
    yield f"{path}/"
    yield path.upper()
    yield f"/{path}"
    yield path.replace("/", "//", 2)
    yield f"/auth/..{path}"
    yield f"/auth/login/..{path}"
    yield f"/health/..{path}"
    yield f"/.{path}"
    yield path[:2] + f"%{ord(path[2]):02x}" + path[3:]
    yield path[0] + path[1:].replace("/", "%2f", 1)
    yield f"{path};a=b"
