from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Link, Role
from airproof.errors import PlatformError, WaitTimeout
from airproof.faults.wire import applied
from airproof.platform.manifest import Route
from airproof.platform.requests import Answer, Request, ServiceToken
from airproof.waiting import wait_until
from airproof.wire import Wire, established, http, on, postgres, redis, smtp
from airproof_service.stage import UNAVAILABLE, WAIT_S, Stage

AT_ONCE = 24
LONGEST_S, SOON_S, MEET_S = 30.0, 1.0, 0.5
OFTEN = 8
"""On a link as many messages are held, one after the other, as a login and a few other requests take."""
ASKED = {"http": http.request(), "redis": redis.command(), "smtp": smtp.command()}


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-4")
def test_who_finds_no_connection_is_told_to_try_again(stage: Stage) -> None:
    """Whoever asks a service that has all its connections in use waits, or is told to try again."""
    route = next((one for one in stage.routes if one.changes), None)
    if route is None:
        pytest.skip("the manifest declares no route that changes something")
    asking, entities = stage.cell.platform.requests, stage.cell.platform.entities(route.entity)
    with (
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users,
        stage.cell.history.fault("connections in use", route.service) as fault,
        entities.hold_updates() as block,
    ):
        updating = [users.submit(asking.ask_service, route, stage.about, ServiceToken.VALID) for _ in range(AT_ONCE)]
        wait_until(
            lambda: block.waiting() + sum(one.done() for one in updating) >= AT_ONCE,
            timeout_s=LONGEST_S,
            describe=f"each of {AT_ONCE} updates to wait in the database or to be answered",
        )
        used, most = block.waiting(), stage.cell.platform.manifest.service(route.service).connections
        fault.evidence(f"{used} of {AT_ONCE} updates wait in the database")
        block.release()
        fault.healed("they go on")
        answers = [one.result(LONGEST_S) for one in updating]
    for answer in answers:
        _demand_honest(stage, stage.rightful(route), answer)
    promise, seen = "no service takes the connections that others need", f"{used} for {AT_ONCE} requests"
    bounded, request = not most or used <= most, stage.rightful(route)
    stage.demand(bounded, "DBTX", "connections-without-limit", promise, f"at most {most}", seen, request)
    done = sum(answer.status < 400 for answer in answers)
    promise = "of all updates at one expected version one is done"
    stage.demand(done == 1, "DBTX", "two-winners", promise, "1 done", f"{done} done", stage.rightful(route))
    for one in (other for other in stage.routes if not other.changes):
        stage.demand_served(one, "DBTX")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-4")
def test_who_has_a_connection_needs_no_other_one(stage: Stage, wire: Wire) -> None:
    """As many change something at once as a service has connections, and each has one: all are answered."""
    del wire
    limits = {one.name: one.connections for one in stage.cell.platform.manifest.services if one.connections}
    for route in (one for one in stage.routes if one.changes and one.service in limits):
        most = limits[route.service]
        refused = _refused_of_many(stage, route, most)
        promise, seen = "who has a connection waits for no other one", f"{len(refused)} not: {refused[:1]}"
        rightful = stage.rightful(route)
        stage.demand(not refused, "DBTX", "second-connection", promise, f"{most} answers", seen, rightful)
    stage.judge()


def _refused_of_many(stage: Stage, route: Route, most: int) -> list[str]:
    """What those are told who are not answered of so many, all of whom have a connection at the same moment."""
    asking = partial(stage.cell.platform.requests.ask_service, route, stage.about, ServiceToken.VALID)
    looking = on(route.service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stage.about.id))
    with ThreadPoolExecutor(most, thread_name_prefix="user") as users:
        with applied(stage.cell, looking.times(most).hold()) as held, suppress(WaitTimeout):
            changing = [users.submit(asking) for _ in range(most)]
            wait_until(lambda: held.fired >= most, timeout_s=WAIT_S / 2, describe=f"{most} to have connections")
        return list(filter(None, map(_refused, changing)))


def _refused(asked: Future[Answer]) -> str:
    """What somebody was told who was not answered; empty for an answer."""
    try:
        answer = asked.result(LONGEST_S)
    except PlatformError as error:
        return str(error)
    return str(answer) if answer.status >= 500 else ""


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-4")
def test_however_many_read_at_once_no_database_gets_more_connections_than_its_service_may_have(
    stage: Stage, wire: Wire
) -> None:
    """While a database, or its copy, is slow to answer many who read, its service has no more connections to it."""
    del wire
    limits = {one.name: one.connections for one in stage.cell.platform.manifest.services if one.connections}
    for route in (one for one in stage.reading if one.service in limits):
        used, most = _connections_for_many(stage, route), limits[route.service]
        promise, seen = "no service takes the connections that others need", f"{used} for {AT_ONCE} requests"
        request = stage.rightful(route)
        stage.demand(used <= most, "DBTX", "connections-without-limit", promise, f"at most {most}", seen, request)
        stage.demand_served(route, "DBTX")
    stage.judge()


def _connections_for_many(stage: Stage, route: Route) -> int:
    """How many connections the route's service has to the database that it has most to, while many wait for it."""
    asking, link = stage.cell.platform.requests, on(route.service, "postgres-*")
    links = [one for one in stage.cell.description.links if one.source == route.service]
    databases = [one.target for one in links if one.protocol == "postgres"]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
        with applied(stage.cell, link.when(postgres.query()).after().hold().preventable()) as held:
            reading = [users.submit(asking.ask_service, route, stage.about, ServiceToken.VALID) for _ in range(AT_ONCE)]
            with suppress(WaitTimeout):
                while True:  # as long as one more comes
                    held.wait_until_fired(MEET_S, held.fired + 1)
            there = [on(route.service, one).when(established()).observe().preventable() for one in databases]
            with ExitStack() as observing:
                used = [observing.enter_context(applied(stage.cell, one)).fired for one in there]
        for one in reading:
            _demand_honest(stage, stage.rightful(route), one.result(LONGEST_S))
    return max(used)


@pytest.mark.destructive
@pytest.mark.covers("DB-2", "XS-3")
def test_who_waits_for_others_has_no_transaction_open(stage: Stage, wire: Wire) -> None:
    """While a service waits for another one, for Redis or for the mail server, it keeps no connection from others."""
    del wire
    having = {one.name for one in stage.cell.platform.manifest.services if one.database}
    links = [one for one in stage.cell.description.links if one.source in having and one.protocol in ASKED]
    with ExitStack() as rules, ThreadPoolExecutor(1, thread_name_prefix="user") as users:
        held = {}
        for link in links:
            asked = on(link.source, link.target).when(ASKED[link.protocol]).times(OFTEN)
            held[link] = rules.enter_context(applied(stage.cell, asked.hold().preventable()))
        using = users.submit(_use_everything, stage)
        while not using.done():
            wait_until(
                lambda: using.done() or any(one.is_holding for one in held.values()),
                timeout_s=LONGEST_S,
                describe="a user to be done, or a service to wait for something",
            )
            for link, rule in held.items():
                if rule.is_holding:
                    _demand_none_open(stage, link)
                    rule.release()
        using.result()
    stage.judge()


def _use_everything(stage: Stage) -> None:
    platform = stage.cell.platform
    for route in stage.reading:
        stage.demand_served(route)
    platform.sessions.log_in(stage.about)
    platform.entities(stage.routes[0].entity).update(stage.about, "changed", expected_version=1)
    for saga in (platform.sagas(one.name) for one in platform.manifest.sagas):
        saga.wait_terminal(saga.start(saga.make_input(stage.about.tenant)), timeout_s=WAIT_S)


def _demand_none_open(stage: Stage, link: Link) -> None:
    manifest, own = stage.cell.platform.manifest, f"{link.source} to have no transaction open"
    access = stage.cell.platform.sagas(manifest.sagas[0].name)
    try:
        wait_until(lambda: not access.in_transaction(link.source), timeout_s=SOON_S, describe=own)
    except WaitTimeout:
        promise, seen = "who waits for others has no transaction open", f"one in {link.source}'s database"
        facts = (f"what {link.source} asks of {link.target} is held",)
        stage.anomalies.append(Anomaly("DBTX", "transaction-while-waiting", promise, "none", seen, facts))


def _demand_honest(stage: Stage, request: Request, answer: Answer) -> None:
    honest = answer.status < 500 or answer.status in UNAVAILABLE
    promise = "who finds no connection is told to try again"
    stage.demand_shape(answer, request)
    stage.demand(honest, "DBTX", "no-connection-is-a-bug", promise, "an answer, or 503", answer, request)
