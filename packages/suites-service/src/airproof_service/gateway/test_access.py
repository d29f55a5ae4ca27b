from __future__ import annotations

from dataclasses import replace
from itertools import product
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import NO_PLAIN_TEXT, Request, Session
from airproof_service.intruders import Others, intruders, logged_in, near_ids, spellings
from airproof_service.stage import PERSONAL, REFUSALS, WAIT_S, Stage

IN_A_ROW, AT_ONCE = 15, 8
LONGEST_ID, NO_TOKEN = 200, "x" * 43
NO_CORRELATION_IDS = ("a b", "x" * (LONGEST_ID + 1), "é")


@pytest.mark.smoke
@pytest.mark.covers("GW-1", "GW-2", "SEC-2")
def test_nobody_gets_what_is_not_theirs(stage: Stage) -> None:
    """Of all who ask for something, only those who may are served, whoever they pretend to be."""
    others = Others.of(stage)
    closed = {(one.method, one.path): one for one in stage.cell.platform.manifest.closed}
    for route in (*stage.routes, *closed.values()):
        for request in intruders(stage, route, others):
            _demand_refused(stage, request)
    for route in stage.routes:
        for other in (others.colleague, others.stranger):
            _demand_own_only(stage, route, other)
        stage.demand_served(route)
    stage.judge()


@pytest.mark.covers("GW-1", "SEC-2")
def test_whoever_may_ask_is_served(stage: Stage) -> None:
    """Whoever may ask is told all that is known, whoever it is about; what is for all is so with an old token too."""
    others = Others.of(stage)
    for route in (one for one in stage.routes if one.access is Access.ANYBODY):
        request = replace(stage.rightful(route), token=NO_TOKEN)
        answer, promise = stage.ask(request), "what is for everybody is refused for no token"
        served = answer is not None and answer.status < 400
        stage.demand(served, "GATEWAY", "not-served", promise, "an answer, as without it", answer, request)
    stage.cell.barrier(WAIT_S)
    for route in (one for one in stage.routes if one.access is Access.TENANT):
        settled = replace(route, shows={**route.shows, **route.settled})
        stage.demand_served(settled, by=others.colleague)
    stage.judge()


@pytest.mark.covers("SEC-2", "SEC-3")
def test_what_is_somebody_elses_is_told_as_what_is_not_there(stage: Stage) -> None:
    """Who may not see a thing is told the same about it as about one that is not there, also who repeats a change."""
    others, missing = Others.of(stage), _missing(stage)
    for route in (one for one in stage.routes if one.access in {Access.OWNER, Access.TENANT}):
        asked = Request(route, stage.about, key=f"key-{stage.about.id}" if route.changes else "")
        requests = [replace(asked, user=user) for user in logged_in(stage, route, others)]
        for request in requests:
            _demand_told_as_missing(stage, request, missing)
        if route.changes:
            stage.ask(asked)
            for request in requests:
                _demand_told_as_missing(stage, request, missing)
    stage.judge()


def _demand_told_as_missing(stage: Stage, request: Request, missing: EntityRef) -> None:
    told = [(stage.ask(one), one.about) for one in (request, replace(request, about=missing))]
    theirs, nothing = [one.without(about.id, about.owner) if one else "no answer" for one, about in told]
    promise = "that there is something is told to nobody who may not see it"
    expected = f"as of what is not there: {nothing}"
    stage.demand(theirs == nothing, "SECURITY", "existence-told", promise, expected, theirs, request)


@pytest.mark.covers("GW-1", "GW-2", "SEC-1")
def test_no_spelling_of_a_path_opens_it(stage: Stage) -> None:
    """However the path of something that is not public is spelled, nobody who may not is served."""
    others = Others.of(stage)
    for route in (one for one in stage.routes if one.access is not Access.ANYBODY):
        nobody = Request(route, stage.about, Session.NONE)
        users = [replace(nobody, session=Session.USER, user=one) for one in logged_in(stage, route, others)]
        path, query, parameters = stage.cell.platform.requests.path(route, stage.about).partition("?")
        for spelled in spellings(path):
            for request in (replace(one, path=f"{spelled}{query}{parameters}") for one in (nobody, *users)):
                answer = stage.ask(request)
                closed = answer is not None and 400 <= answer.status < 500
                promise = "no spelling of a path lets somebody in who may not make the request"
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
    """The correlation id of a request is that of its answer, whatever its key, whoever answers, and is only text."""
    missing = _missing(stage)
    for route in (one for one in stage.routes if not one.changes):
        mine = f"corr-{stage.about.id}-{route.name}{NO_PLAIN_TEXT}"
        rightful, key = stage.rightful(route), f"key-{stage.about.id}"
        request = replace(rightful, about=missing, user=stage.about, correlation_id=mine, key=key)
        answer = stage.ask(request)
        alike = answer is not None and set(answer.correlation_ids) == {mine}
        seen = ", ".join(answer.correlation_ids) or "none" if answer else "no answer"
        stage.demand(alike, "GATEWAY", "correlation-lost", "the correlation id reaches every hop", mine, seen, request)
        plain, promise = answer is not None and answer.status < 500, "a correlation id is text and no more"
        stage.demand(plain, "SECURITY", "no-plain-text", promise, "an answer as under any other", answer, request)
    stage.judge()


@pytest.mark.covers("XS-4", "SEC-3")
def test_a_correlation_id_that_is_none_is_replaced(stage: Stage) -> None:
    """A request whose correlation id cannot be one is answered all the same, and has one that can."""
    asked = [stage.rightful(route) for route in stage.routes if not route.changes]
    for known, bad in product(asked, NO_CORRELATION_IDS):
        for request in (known, replace(known, about=_missing(stage), user=stage.about)):
            answer = stage.ask(replace(request, correlation_id=bad))
            ids = set(answer.correlation_ids) if answer else set()
            replaced = len(ids) == 1 and all(_may_be_an_id(one) and one != bad for one in ids)
            right = answer is not None and answer.status < 500 and replaced
            promise, expected = "what is no correlation id is replaced by one", f"an answer with one, not {bad[:20]!r}"
            seen = f"{answer}, with {', '.join(ids) or 'none'}"
            stage.demand(right, "GATEWAY", "no-correlation-id", promise, expected, seen, request)
    stage.judge()


@pytest.mark.covers("SEC-2")
def test_what_somebody_may_do_is_said_truly(stage: Stage) -> None:
    """Who may do what is said as it is: its owner what is granted, nobody else anything, and of nothing else either."""
    entity = stage.cell.platform.manifest.entity(stage.routes[0].entity)
    others = Others.of(stage)
    asking = {"the owner": stage.about, "a colleague": others.colleague, "a stranger": others.stranger}
    for who, user in asking.items():
        for action in (*entity.granted, *entity.denied):
            right = user is stage.about and action in entity.granted
            _demand_said(stage, user, stage.about, action, right=right, who=who)
    for near in near_ids(stage.about.id):
        for action in entity.granted:
            _demand_said(stage, stage.about, replace(stage.about, id=near), action, right=False, who="the owner")
    for action in entity.granted:
        if stage.cell.platform.requests.allowed(others.stranger, stage.about, action, whom=stage.about):
            promise = "nobody learns who may do what in another tenant"
            seen = f"that the owner may {action} {entity.name} {stage.about.id}"
            stage.anomalies.append(Anomaly("TENANCY", "told-to-another", promise, "nothing", seen))
    stage.judge()


@pytest.mark.covers("SEC-1")
def test_a_token_is_exchanged_once(stage: Stage) -> None:
    """Of all who exchange one token at the same time, one gets another for it, which the others do not spoil."""
    for _ in range(IN_A_ROW):
        got = stage.cell.platform.requests.exchange_at_once(stage.about, AT_ONCE)
        if got != 1:
            promise, seen = "a token is exchanged once, for another one that is good", f"{got} that are good"
            name = "exchanged-twice" if got else "exchanged-for-nothing"
            stage.anomalies.append(Anomaly("SECURITY", name, promise, "one that is good", seen))
            break
    stage.judge()


@pytest.mark.covers("SEC-1")
def test_what_lets_somebody_in_is_kept_nowhere(stage: Stage) -> None:
    """No store of the platform holds a password or a token, so that nobody who reads one can log in."""
    for session in (Session.USER, Session.EXCHANGED, Session.REFRESH):
        for route in (one for one in stage.reading if one.access is Access.USER):
            stage.ask(Request(route, stage.about, session))
    if kept := stage.cell.platform.requests.kept():
        promise = "a password or a token is kept nowhere as it was shown"
        stage.anomalies.append(Anomaly("SECURITY", "kept-in-clear", promise, "nowhere", ", ".join(kept)))
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_a_session_ends_with_its_account(cell: Cell, tenant: Tenant) -> None:
    """Whoever was logged in when the platform removed them is nobody from then on."""
    personal = [one for one in cell.platform.manifest.routes if one.access in PERSONAL]
    if not personal:
        pytest.skip("the manifest declares no routes for users")
    with cell.platform.entities(personal[0].entity).passing(tenant) as ref:
        stage, listed = Stage(cell, ref), next(one for one in personal if one.access is Access.USER)
        stage.wait_listed(listed, [ref])
        stage.demand_served(listed)
    for route in personal:
        request = Request(route, ref)
        answer = stage.ask(request)
        closed = answer is not None and answer.status == 401
        promise = "a session ends with its account"
        stage.demand(closed, "SECURITY", "served-to-nobody", promise, "401", answer, request)
    stage.judge()


def _missing(stage: Stage) -> EntityRef:
    return replace(stage.about, id=str(uuid4()), owner=str(uuid4()))


def _may_be_an_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable() and " " not in text


def _demand_refused(stage: Stage, request: Request) -> None:
    answer = stage.ask(request)
    refused = answer is not None and answer.status in REFUSALS
    promise = f"{request.route.name} is for {request.route.access.value} alone"
    blames = "GATEWAY" if request.pretended else "SECURITY"
    stage.demand(refused, blames, "served-to-another", promise, "401, 403 or 404", answer, request)


def _demand_said(stage: Stage, user: EntityRef, about: EntityRef, action: str, *, right: bool, who: str) -> None:
    """The user is told whether they may do that."""
    try:
        said = str(stage.cell.platform.requests.allowed(user, about, action))
    except PlatformError as error:
        said = str(error)
    if said != str(right):
        kind = stage.cell.platform.manifest.entity(stage.routes[0].entity).name
        promise = f"{who} may {'' if right else 'not '}{action} {kind} {about.id}"
        stage.anomalies.append(Anomaly("SECURITY", "wrong-permission", promise, str(right), said))


def _demand_own_only(stage: Stage, route: Route, other: EntityRef) -> None:
    """Where everybody is shown something, it is theirs, whoever they pretend to be."""
    if route.access not in {Access.USER, Access.SELF}:
        return
    mine, others = ((one.id if route.access is Access.USER else one.owner) for one in (stage.about, other))
    for pretended in (None, stage.about):
        request = Request(route, stage.about, user=other, pretended=pretended)
        answer = stage.ask(request)
        theirs = answer is not None and mine not in answer.text and others in answer.text
        promise = f"in {route.name} everybody sees what is theirs, and nothing else"
        stage.demand(theirs, "TENANCY", "shown-to-another", promise, f"{others} alone", answer, request)
