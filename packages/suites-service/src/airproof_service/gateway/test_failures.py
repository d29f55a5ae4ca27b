from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import PlatformError
from airproof.faults.process import killed, suspended
from airproof.faults.wire import applied
from airproof.platform.manifest import Access, Route, Saga
from airproof.platform.requests import Answer, Request, Session
from airproof.wire import Rule, Wire, http, on, postgres
from airproof.wire.building import Selected
from airproof_service.gateway.mails import hanging
from airproof_service.gateway.sending import demand_found, unacknowledged
from airproof_service.stage import PERSONAL, TIMED_OUT, UNAVAILABLE, WAIT_S, Stage

AT_ONCE_S, SOON_S, LATEST_S = 1.0, 8.0, 18.0
WAITING, MANY, TRIES = 70, 60, 3
AT_ONCE, IN_VAIN = 8, 20
WELL = [200, 200]
Timed = tuple[Answer | None, float]
SOME_BYTES, BYTES_A_S = 190, 10
"""Of an answer: its head and the beginning of what it says; and so little that it would be there much too late."""


@pytest.mark.destructive
@pytest.mark.covers("GW-1", "XS-3", "XS-4")
def test_a_service_that_is_away_is_told_as_such_and_concerns_nobody_else(stage: Stage) -> None:
    """While a service is down its users are told that it is, at once, and all others are served; then so are they."""
    gone = stage.reading[0].service
    for route in stage.reading:
        stage.demand_served(route)
    with killed(stage.cell, gone):
        for route in stage.reading:
            if route.service == gone:
                _demand_unavailable(stage, route)
                _demand_within(stage, route, AT_ONCE_S, min(_timed(stage, route)[1] for _ in range(TRIES)))
            else:
                stage.demand_served(route)
        _demand_ready(stage, but=gone)
        _ask_in_vain(stage, next(route for route in stage.reading if route.service == gone))
        # Who has just told others to try again may not tell so whom it would be in vain for.
        for route in (one for one in stage.reading if one.access in PERSONAL):
            stage.ask(replace(stage.rightful(route), session=Session.NONE))
    for route in stage.reading:
        stage.demand_served(route)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "XS-4")
def test_who_somebody_is_cannot_be_said_without_who_knows_it(stage: Stage) -> None:
    """While nobody can say who users are, however many, they are not let in, nor told that they are nobody."""
    for route in stage.reading:
        stage.demand_served(route)
    with killed(stage.cell, stage.cell.platform.manifest.identity):
        for route in stage.reading:
            _demand_unavailable(stage, route)
        _demand_ready(stage, but=stage.cell.platform.manifest.identity)
    with suspended(stage.cell, Role.REDIS.value):
        began, told = time.monotonic(), partial(_demand_unavailable, stage, or_served=True)
        with ThreadPoolExecutor(MANY, thread_name_prefix="user") as users:
            list(users.map(told, [stage.reading[0]] * MANY))
        _demand_within(stage, stage.reading[0], SOON_S, time.monotonic() - began)
    for route in stage.reading:
        stage.demand_served(route)
    _demand_exchanged(stage)
    with killed(stage.cell, Role.REDIS.value):
        for route in stage.reading:
            _demand_unavailable(stage, route, blames="XSERVICE")
    # Sessions may be lost with what keeps them: somebody new is served.
    stage.about = stage.cell.platform.entities(stage.reading[0].entity).create(stage.about.tenant)
    for route in stage.reading:
        stage.demand_served(route)
    _demand_exchanged(stage)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-1", "XS-3", "OUT-2")
def test_a_service_that_hangs_is_not_waited_for_for_ever(stage: Stage, wire: Wire) -> None:
    """What hangs is given up, be it a service or a mail server, and others are served; a broker is waited for."""
    del wire
    slow = next(route for route in stage.reading if route.access is Access.TENANT)
    users = ThreadPoolExecutor(WAITING + 1, thread_name_prefix="user")
    with unacknowledged(stage), hanging(stage), users, suspended(stage.cell, slow.service), ExitStack() as rules:
        # The one who is answered slowly comes first, so that it is nobody else who is.
        waiting = [_dribbling(stage, users, rules, but=slow.service)]
        waiting += [(slow, users.submit(_timed, stage, slow)) for _ in range(WAITING)]
        for route in (one for one in stage.reading if one.service != slow.service):
            began = time.monotonic()
            stage.demand_served(route, "XSERVICE")
            took, promise = time.monotonic() - began, "a service that hangs keeps no other waiting"
            request = stage.rightful(route)
            stage.demand(took < SOON_S, "XSERVICE", "starved", promise, f"{SOON_S:g} s", f"{took:.1f} s", request)
        wait([one for _, one in waiting], return_when=FIRST_COMPLETED)
        demand_found(stage, but=slow.service)
        ended = [(route, *one.result()) for route, one in waiting]
    promise = "a service that hangs is given up on"
    for route, answer, took in ended:
        request = stage.rightful(route)
        told = answer is not None and answer.status in UNAVAILABLE and took < LATEST_S
        seen = f"{answer or 'no answer'} after {took:.1f} s"
        stage.demand(told, "XSERVICE", "waits-for-ever", promise, f"503 or 504 within {LATEST_S:g} s", seen, request)
        # Who may be doing it is not told as who was not reached.
        honest = not told or took < AT_ONCE_S or (answer is not None and answer.status == TIMED_OUT)
        waited = "a service that was waited for in vain is told as one that did not answer in time"
        stage.demand(honest, "XSERVICE", "told-as-not-reached", waited, str(TIMED_OUT), seen, request)
    stage.demand_served(slow)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("XS-3")
def test_a_service_that_fails_is_not_asked_again_and_again(stage: Stage, wire: Wire) -> None:
    """What a service does not answer as it should is asked of it as often as the manifest says, and then told so."""
    del wire
    known = stage.cell.platform.manifest
    token = known.token_header.encode()
    for route in stage.reading:
        path = stage.cell.platform.requests.path(route, stage.about).partition("?")[0]
        asked = [on(known.gateway, route.service).when(http.request(path=path))]
        if route.access in PERSONAL and route.service != known.identity:
            asked.append(on(known.gateway, known.identity).when(http.request()))
        for call in asked:
            broken_off = call.after("2*").truncate(SOME_BYTES)
            # Whoever cannot say who somebody is does not know what is asked for either.
            strange = () if call is asked[0] else (call.respond(status=404, body="{}"),)
            # That it does not believe the gateway is no fault of the user's, who is not told to log in again.
            unknown = [call.corrupt(find=token, replacement=token[::-1])] if token else []
            failures = (
                call.respond(status=503, body="{}", retry_after=1),
                call.reset(),
                broken_off,
                *strange,
                *unknown,
            )
            for failing in failures:
                _demand_few_calls(stage, route, call.observe(), failing)
            _demand_not_followed(stage, route, call.observe(), call.respond(status=307, body="{}", location=path))
    for saga in known.sagas:
        _demand_few_starts(stage, saga)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-4", "XS-3")
def test_a_change_that_fails_is_asked_for_once(stage: Stage, wire: Wire) -> None:
    """The gateway does not know what became of a change that failed, or whose answer it lost; it repeats nothing."""
    del wire
    for route in (one for one in stage.routes if one.changes):
        request = stage.rightful(route)
        asked = http.request(method=route.method, containing=stage.about.id)
        inside = on(stage.cell.platform.manifest.gateway, route.service).when(asked)
        # Made it is only when its answer is lost, for the next one would be another change.
        _demand_asked_once(stage, request, inside, inside.times(1).respond(status=503, body="{}", retry_after=1))
        if not stage.anomalies:
            _demand_asked_once(stage, request, inside, inside.times(1).after("2*").lose_reply())
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "UOW-2")
def test_a_database_that_breaks_off_is_no_fault_of_the_service(stage: Stage, wire: Wire) -> None:
    """A service whose database breaks off its work says that it can do nothing now, or does it; it has no bug."""
    del wire
    for route in (one for one in stage.routes if one.changes):
        request = stage.rightful(route)
        broken = on(route.service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stage.about.id)).times(1)
        answered = (broken.respond(sqlstate=state, message="not now") for state in postgres.TRANSIENT)
        for failing in (*answered, broken.reset()):
            with applied(stage.cell, failing):
                answer = stage.ask(request)
            truth = stage.cell.platform.entities(route.entity).truth(stage.about)
            changed = truth is not None and truth.version > 1
            honest = answer is not None and (answer.status in UNAVAILABLE or (answer.status < 400 and changed))
            promise = "a database that cannot do it just now is told as such, unless the change was made all the same"
            made = f"the change was {'' if changed else 'not '}made"
            seen = f"{answer or 'no answer'} after {failing.action.parameters or 'a reset'}, and {made}"
            stage.demand(honest, "DBTX", "wrong-status", promise, "success, or 503", seen, request)
            stage.demand_discreet(answer, request)
            if changed:
                break
    stage.judge()


def _dribbling(stage: Stage, users: Executor, rules: ExitStack, *, but: str) -> tuple[Route, Future[Timed]]:
    """Somebody asks another service, whose answer comes so slowly that it would be there much too late."""
    gateway, others = stage.cell.platform.manifest.gateway, (one for one in stage.reading if one.service != but)
    route = next(others)
    path = stage.cell.platform.requests.path(route, stage.about).partition("?")[0]
    answered = on(gateway, route.service).when(http.request(path=path)).times(1).after()
    slowly = rules.enter_context(applied(stage.cell, answered.throttle(BYTES_A_S)))
    asking = users.submit(_timed, stage, route)
    slowly.wait_until_fired(WAIT_S)
    return route, asking


def _demand_exchanged(stage: Stage) -> None:
    """Whoever logs in can exchange what they got, and is told nothing else, whatever was away before."""
    sessions, got = stage.cell.platform.sessions, "another login"
    try:
        login = sessions.log_in(stage.about)
        seen = got if login and sessions.exchange(login) else "a refusal"
    except PlatformError as error:
        seen = str(error)
    if seen != got:
        promise = "an outage of what keeps the sessions is over when that is back"
        stage.anomalies.append(Anomaly("XSERVICE", "not-back", promise, got, seen))


def _demand_ready(stage: Stage, *, but: str) -> None:
    """Who is not away says so: what one service lacks takes no other one out of use."""
    probed = stage.cell.platform.requests.probe
    for one in (other for other in stage.cell.platform.manifest.services if other.name != but):
        said = [probed(one.name, path) for path in (one.health_path, one.ready_path)]
        if said != WELL:
            promise, seen = f"while {but} is away all others are alive and ready", f"{said} of {one.name}"
            stage.anomalies.append(Anomaly("XSERVICE", "not-ready-for-another", promise, f"{WELL}", seen))


def _timed(stage: Stage, route: Route) -> Timed:
    began = time.monotonic()
    return stage.ask(stage.rightful(route)), time.monotonic() - began


def _ask_in_vain(stage: Stage, route: Route) -> None:
    """So many users are told that a service is away that nothing is left of what each of them might use up."""
    request, promise = stage.rightful(route), "however many are told that a service is away, the next one is told too"
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
        for _ in range(IN_VAIN):
            for answer in users.map(stage.ask, [request] * AT_ONCE):
                told = answer is not None and answer.status in UNAVAILABLE
                stage.demand(told, "XSERVICE", "used-up", promise, "502, 503 or 504", answer, request)
            if stage.anomalies:
                stage.judge()


def _demand_few_calls(stage: Stage, route: Route, observing: Rule, failing: Rule) -> None:
    request, most = stage.rightful(route), stage.cell.platform.manifest.attempts
    with applied(stage.cell, observing.preventable()) as passed, applied(stage.cell, failing.preventable()):
        answer = stage.ask(request, invented=True)
    promise, seen = "a call that fails is repeated a few times at most", f"{passed.fired} times of {observing.target}"
    often = 1 <= passed.fired <= most
    stage.demand(often, "XSERVICE", "retry-storm", promise, f"1 to {most} times", seen, request)
    told = answer is not None and answer.status in UNAVAILABLE
    promise = "what a service cannot answer is told as unavailable"
    stage.demand(told, "GATEWAY", "wrong-status", promise, "502, 503 or 504", answer, request)


def _demand_not_followed(stage: Stage, route: Route, observing: Rule, sending_on: Rule) -> None:
    with applied(stage.cell, observing.preventable()) as passed, applied(stage.cell, sending_on.preventable()):
        stage.ask(stage.rightful(route), invented=True)
    promise, seen = "what is asked for in somebody's name is asked of nobody else", f"{passed.fired} calls"
    expected = f"1 call of {observing.target}"
    stage.demand(passed.fired <= 1, "XSERVICE", "redirect-followed", promise, expected, seen, stage.rightful(route))


def _demand_few_starts(stage: Stage, saga: Saga) -> None:
    known, access = stage.cell.platform.manifest, stage.cell.platform.sagas(saga.name)
    for source, target in ((known.gateway, saga.entrance), (saga.entrance, saga.orchestrator)):
        call = on(source, target).when(http.request(containing=stage.about.tenant.id))
        for failing in (call.respond(status=503, body="{}", retry_after=1), call.reset()):
            with applied(stage.cell, call.observe()) as passed, applied(stage.cell, failing), suppress(PlatformError):
                access.start(access.make_input(stage.about.tenant))
            if passed.fired > known.attempts:
                promise = "a start that fails is asked for a few times at most"
                expected, seen = f"1 to {known.attempts} times", f"{passed.fired} times, of {target} by {source}"
                stage.anomalies.append(Anomaly("XSERVICE", "retry-storm", promise, expected, seen))


def _demand_asked_once(stage: Stage, request: Request, inside: Selected, failing: Rule) -> None:
    with applied(stage.cell, inside.observe()) as passed, applied(stage.cell, failing):
        answer = stage.ask(request, invented=failing.action.kind == "respond")
    promise, seen = "what may be made once only is asked for once", f"asked for {passed.fired} times"
    stage.demand(passed.fired == 1, "GATEWAY", "asked-twice", promise, "once", seen, request)
    unknown = answer is not None and answer.status in UNAVAILABLE
    promise = "a change that failed, or whose answer was lost, is told as such"
    stage.demand(unknown, "GATEWAY", "wrong-status", promise, "502, 503 or 504", answer, request)


def _demand_within(stage: Stage, route: Route, most_s: float, took_s: float) -> None:
    promise, expected = "that something is away is told without waiting for it", f"within {most_s:g} s"
    request = stage.rightful(route)
    stage.demand(took_s < most_s, "XSERVICE", "told-late", promise, expected, f"after {took_s:.1f} s", request)


def _demand_unavailable(stage: Stage, route: Route, *, or_served: bool = False, blames: str = "GATEWAY") -> None:
    request = stage.rightful(route)
    answer = stage.ask(request)
    told = answer is not None and (answer.status in UNAVAILABLE or (or_served and answer.status < 400))
    promise = "what cannot be answered because a service is away is told as unavailable"
    stage.demand(told, blames, "wrong-status", promise, "502, 503 or 504", answer, request)
    stage.demand_discreet(answer, request)
