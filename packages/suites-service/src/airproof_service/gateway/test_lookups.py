from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.manifest import Access
from airproof.wire import Wire, on, postgres, redis
from airproof_service.intruders import Others
from airproof_service.stage import FULL, UNAVAILABLE, WAIT_S, Stage

MOST_TRIES = 3


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-2")
def test_what_cannot_be_looked_up_is_not_made_up(stage: Stage, wire: Wire) -> None:
    """While a database breaks off what its service asks, a few times, that answers that it has none, or as usual."""
    del wire
    other = replace(stage.about, owner=Others.of(stage).colleague.owner)
    # What the making of both has left to do asks, too.
    stage.cell.barrier(WAIT_S)
    for route in (one for one in stage.routes if not one.changes):
        for about in (stage.about, other):
            request = replace(stage.rightful(route), about=about, user=stage.about)
            usual = stage.ask(request)
            with ExitStack() as broken:
                rules = []
                # A tenant is named by itself, and in its users' addresses.
                for named in (about.id, about.owner, about.tenant.id, about.tenant.id.lower()):
                    asked = on(route.service, "postgres-*").when(postgres.query(containing=named))
                    rules.append(broken.enter_context(applied(stage.cell, asked.reset().preventable())))
                answer = stage.ask(request)
            tries, promise = sum(rule.fired for rule in rules), "what breaks off is looked up a few times at most"
            often, expected, seen = tries > MOST_TRIES, f"{MOST_TRIES} times at most", f"{tries} times"
            stage.demand(not often, "XSERVICE", "retry-storm", promise, expected, seen, request)
            alike = answer is not None and usual is not None and answer.without() == usual.without()
            honest = alike or (answer is not None and answer.status in UNAVAILABLE)
            promise, expected = "what cannot be looked up is not made up", f"503, or as ever: {usual}"
            stage.demand(honest, "XSERVICE", "made-up", promise, expected, answer, request)
            stage.demand_discreet(answer, request)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "GW-2")
def test_sessions_that_are_refused_are_told_as_unavailable(stage: Stage, wire: Wire) -> None:
    """While what keeps the sessions answers with errors, who logs in, or is logged in, is told to try again."""
    del wire
    identity = stage.cell.platform.manifest.identity
    for route in (one for one in stage.reading if one.access in {Access.ANYBODY, Access.SELF}):
        stage.demand_served(route)
        asked = on(identity, Role.REDIS.value).when(redis.command("[GS]ET*"))
        with applied(stage.cell, asked.respond(error=FULL)):
            answer = stage.ask(stage.rightful(route))
        told = answer is not None and answer.status in UNAVAILABLE
        promise, request = "what keeps the sessions and refuses is as good as away", stage.rightful(route)
        stage.demand(told, "XSERVICE", "wrong-status", promise, "502, 503 or 504", answer, request)
        stage.demand_discreet(answer, request)
        stage.demand_served(route)
    stage.judge()
