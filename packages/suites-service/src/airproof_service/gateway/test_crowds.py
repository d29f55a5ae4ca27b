from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Event
from uuid import uuid4

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import PlatformError, WaitTimeout
from airproof.faults.wire import applied
from airproof.platform.driver import SagaAccess
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer, Request
from airproof.waiting import wait_until
from airproof.wire import Rule, Wire, http, on, postgres, redis
from airproof.wire.holding import outcome_of
from airproof_service.stage import PERSONAL, TIMED_OUT, WAIT_S, Stage

USERS, REQUESTS, CONNECTED = 24, 96, 250
SOON_S = 9.0
OVERTAKES_S, MEET_S = 0.5, 0.5
"""How long somebody is given to overtake what is held; and many to meet, sooner than any of them may give up."""


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "GW-2")
def test_requests_at_once_keep_their_own_correlation_ids(stage: Stage) -> None:
    """However many ask, and however many more say nothing, each is answered as if alone, under its correlation id."""
    missing = replace(stage.about, id=str(uuid4()), owner=str(uuid4()))
    reading = stage.reading
    requests = [
        replace(
            stage.rightful(reading[number % len(reading)]),
            about=missing,
            user=stage.about,
            correlation_id=f"corr-{stage.about.id}-{number}",
        )
        for number in range(REQUESTS)
    ]
    alone = {request.route.name: stage.ask(request) for request in requests[: len(reading)]}
    with ThreadPoolExecutor(USERS, thread_name_prefix="user") as users, _saying_nothing(stage):
        began = time.monotonic()
        answers = list(users.map(partial(stage.ask, invented=True), requests))
        took_s = time.monotonic() - began
    promise, expected = "whoever says nothing keeps nobody waiting", f"{REQUESTS} answers within {SOON_S:g} s"
    stage.demand(took_s < SOON_S, "XSERVICE", "kept-waiting", promise, expected, f"after {took_s:.1f} s", requests[0])
    for request, answer in zip(requests, answers, strict=True):
        promise, usual = "requests that are made at once have nothing to do with each other", alone[request.route.name]
        expected = f"{usual.status}, as if alone" if usual else "an answer"
        served = answer is not None and usual is not None and answer.status == usual.status
        stage.demand(served, "XSERVICE", "crowded-out", promise, expected, answer, request)
        if not served:
            break
        if answer:
            mine, seen = request.correlation_id, ", ".join(answer.correlation_ids) or "none"
            alike = set(answer.correlation_ids) == {mine}
            stage.demand(alike, "XSERVICE", "correlation-mixed", promise, mine, seen, request)
            stage.demand_shape(answer, request)
    stage.judge()


@contextmanager
def _saying_nothing(stage: Stage) -> Iterator[None]:
    """Many clients have begun to say something to the gateway that anybody may, or not even that, and do not go on."""
    public = next((one for one in stage.reading if one.access is Access.ANYBODY and one.body), None)
    if public is None:
        yield
        return
    begun = stage.cell.platform.requests.unfinished(stage.rightful(public), CONNECTED)
    with stage.cell.history.fault("clients say nothing", stage.cell.platform.manifest.gateway) as fault:
        with begun:
            fault.evidence(f"{CONNECTED} are connected and have said half of a request, as many others nothing")
            yield
        fault.healed("they have hung up")


@pytest.mark.destructive
@pytest.mark.covers("XS-3", "GW-2")
def test_however_many_wait_at_once_each_is_served(stage: Stage, wire: Wire) -> None:
    """However many wait at the same time for what is slow, be it what keeps the sessions, each is served in the end."""
    del wire
    known, route = stage.cell.platform.manifest, stage.reading[0]
    stage.demand_served(route)
    looked_up = on(known.identity, Role.REDIS.value).when(redis.command("GET*"))
    for slow in (looked_up, on(known.gateway, known.identity).when(http.request())):
        # The answer is what is held: who sees no request for a while closes its connection.
        _demand_all_served(stage, route, slow.times(USERS).after().hold())
    stage.judge()


def _demand_all_served(stage: Stage, route: Route, slow: Rule) -> None:
    request = stage.rightful(route)
    with ThreadPoolExecutor(USERS, thread_name_prefix="user") as users:
        with applied(stage.cell, slow) as held, suppress(WaitTimeout):
            asked = [users.submit(stage.ask, request) for _ in range(USERS)]
            # Who is given no connection waits elsewhere, or is answered at once.
            wait_until(
                lambda: held.fired + sum(one.done() for one in asked) >= USERS,
                timeout_s=MEET_S,
                describe=f"{USERS} requests to wait",
            )
        answers = [one.result(WAIT_S) for one in asked]
    refused = [answer for answer in answers if answer is None or answer.status >= 400]
    promise, expected = f"however many wait for {slow.target} at once, each is served", f"{USERS} served"
    seen = f"{len(refused)} not: {refused[0] or 'no answer'}" if refused else ""
    stage.demand(not refused, "XSERVICE", "crowded-out", promise, expected, seen, request)


@pytest.mark.destructive
@pytest.mark.covers("XS-3", "DB-2")
def test_what_hangs_keeps_nobody_waiting_who_does_not_need_it(stage: Stage, wire: Wire) -> None:
    """Many ask again and again for what waits for a store that hangs: all are answered, and sagas complete without."""
    del wire
    known = stage.cell.platform.manifest
    cachers = {known.entity(one.entity).service for one in known.caches}
    routes = [one for one in stage.reading if one.access in PERSONAL and not one.body]
    for route in routes:
        stage.demand_served(route)
    requests = [stage.rightful(one) for one in routes]
    for service in (known.identity, *sorted(cachers - {known.identity})):
        hangs = on(service, Role.REDIS.value).when(redis.command("*")).after().hold().preventable()
        with applied(stage.cell, hangs) as held, _asking_on(stage, requests) as answers:
            with suppress(WaitTimeout):
                wait_until(lambda: held.fired >= REQUESTS, timeout_s=MEET_S, describe=f"{REQUESTS} to wait")
            for saga in (stage.cell.platform.sagas(one.name) for one in known.sagas):
                _demand_ends(stage, saga, f"{service} waits for {Role.REDIS.value}")
        late = [one for one in answers if one is None or one.status == TIMED_OUT]
        promise, expected = "who waits for what hangs waits no longer for all the others who do", "answers in time"
        seen = f"{len(late)} of {len(answers)} not"
        stage.demand(not late, "XSERVICE", "queued-up", promise, expected, seen, requests[0])
    stage.judge()


@contextmanager
def _asking_on(stage: Stage, requests: Sequence[Request]) -> Iterator[list[Answer | None]]:
    """Many users ask, and ask again as soon as they are answered, whatever they are told."""
    enough, answers = Event(), list[Answer | None]()

    def ask(number: int) -> None:
        while not enough.is_set():
            answers.append(stage.ask(requests[number % len(requests)]))

    with ThreadPoolExecutor(REQUESTS, thread_name_prefix="user") as users:
        asking = [users.submit(ask, number) for number in range(REQUESTS)]
        try:
            yield answers
        finally:
            enough.set()
        for one in asking:
            one.result(2 * WAIT_S)


def _demand_ends(stage: Stage, saga: SagaAccess, meanwhile: str) -> None:
    try:
        saga.wait_terminal(saga.start(saga.make_input(stage.about.tenant)), timeout_s=WAIT_S)
    except (WaitTimeout, PlatformError) as error:
        promise, expected = "what hangs keeps nobody waiting who does not need it", f"{saga.saga.name} ends meanwhile"
        stage.anomalies.append(Anomaly("XSERVICE", "crowded-out", promise, expected, str(error), (meanwhile,)))


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "SEC-1")
def test_what_was_found_out_before_lets_nobody_in(stage: Stage, wire: Wire) -> None:
    """An account is locked while it is looked up for one request: another one, made after that, is not served."""
    del wire
    identity = stage.cell.platform.manifest.identity
    for route in (one for one in stage.reading if one.access in PERSONAL and one.service != identity):
        stage.demand_served(route)
        _demand_asked_anew(stage, route)
    stage.judge()


def _demand_asked_anew(stage: Stage, route: Route) -> None:
    request, identity = stage.rightful(route), stage.cell.platform.manifest.identity
    found = on(identity, "postgres-*").when(postgres.query(containing=stage.about.owner)).times(1).after()
    with ThreadPoolExecutor(2, thread_name_prefix="user") as users, applied(stage.cell, found.hold()) as held:
        early = users.submit(stage.ask, request)
        held.wait_until_held(WAIT_S)
        with stage.cell.platform.sessions.locked(stage.about):
            late = users.submit(stage.ask, request)
            # Who waits for what is held instead is caught by what they are answered then.
            wait([late], OVERTAKES_S)
            held.release()
            answer = late.result(WAIT_S)
        early.result(WAIT_S)
    closed, promise = answer is not None and answer.status in {401, 403}, "who is locked out is not served"
    promise += ", whatever was found out for an earlier request"
    stage.demand(closed, "SECURITY", "served-to-nobody", promise, "401 or 403", answer, request)


@pytest.mark.destructive
@pytest.mark.covers("SEC-2", "DATA-2")
def test_who_asks_for_the_same_at_once_is_shown_what_is_theirs(stage: Stage, wire: Wire) -> None:
    """While it is looked up or told what is somebody's own, a colleague who asks for theirs is shown what is theirs."""
    del wire
    known = stage.cell.platform.manifest
    colleague = stage.cell.platform.entities(stage.routes[0].entity).create(stage.about.tenant)
    for route in (one for one in stage.reading if one.access in {Access.USER, Access.SELF}):
        path = stage.cell.platform.requests.path(route, stage.about).partition("?")[0]
        told = on(known.gateway, route.service).when(http.request(path=path))
        looked_up = on(route.service, "postgres-*").when(postgres.query(containing=stage.about.owner))
        # Who it is that asks is looked up by the same service, before that.
        slow = told if route.service == known.identity else looked_up
        _demand_apart(stage, route, colleague, slow.times(1).after().hold().preventable())
    stage.judge()


def _demand_apart(stage: Stage, route: Route, colleague: EntityRef, slow: Rule) -> None:
    """The colleague asks for the same while the owner's answer is on its way."""
    own = {user: user.id if route.access is Access.USER else user.owner for user in (stage.about, colleague)}
    mine, theirs = (replace(stage.rightful(route), user=user) for user in own)
    for request, shown in zip((mine, theirs), own.values(), strict=True):
        _wait_shown(stage, request, shown)
    with ThreadPoolExecutor(2, thread_name_prefix="user") as users, applied(stage.cell, slow) as held:
        early = users.submit(stage.ask, mine)
        outcome_of(held, lambda: False, early.done, WAIT_S)
        late = users.submit(stage.ask, theirs)
        # Who waits for what is held instead is caught by what they are shown then.
        wait([late], OVERTAKES_S)
        held.release()
        answers = early.result(WAIT_S), late.result(WAIT_S)
    promise = f"in {route.name} everybody sees what is theirs, whoever else asks for theirs at the same time"
    ids = (own[stage.about], own[colleague]), (own[colleague], own[stage.about])
    for request, answer, (right, wrong) in zip((mine, theirs), answers, ids, strict=True):
        good = answer is not None and right in answer.text and wrong not in answer.text
        stage.demand(good, "TENANCY", "shown-to-another", promise, f"{right} alone", answer, request)


@pytest.mark.covers("GW-2", "SEC-2")
def test_what_is_said_in_pieces_stays_whose_it_is(stage: Stage) -> None:
    """While half of what somebody asks for is said, others ask: it is done in the name of who began to say it."""
    others = [stage.cell.platform.entities(stage.routes[0].entity).create(stage.about.tenant) for _ in range(2)]
    asked = [replace(stage.rightful(route), user=user) for user in others for route in stage.reading if not route.body]
    asked += [stage.rightful(route) for route in stage.reading if route.access is Access.ANYBODY]
    for route in (one for one in stage.routes if one.access in PERSONAL and one.body):
        correlation_id = f"corr-{stage.about.id}-{route.name}"
        mine = replace(stage.rightful(route), correlation_id=correlation_id, key=correlation_id)
        answer = stage.ask(replace(mine, halfway=partial(_ask_all, stage, asked)))
        promise = "what is said in pieces is done for who says it, whoever else says something meanwhile"
        alike = answer is not None and answer.status < 400 and set(answer.correlation_ids) == {correlation_id}
        stage.demand(alike, "GATEWAY", "taken-for-another", promise, f"done, as {correlation_id}", answer, mine)
        if alike and answer:
            stage.demand_shown(answer, mine)
    stage.judge()


def _ask_all(stage: Stage, requests: Sequence[Request]) -> None:
    for request in requests:
        stage.ask(request)


def _wait_shown(stage: Stage, request: Request, own: str) -> None:
    """A new thing may take a moment to appear in a list."""

    def shown() -> bool:
        answer = stage.ask(request)
        return answer is not None and own in answer.text

    wait_until(shown, timeout_s=WAIT_S, describe=f"{request.route.name} to show {own}")
