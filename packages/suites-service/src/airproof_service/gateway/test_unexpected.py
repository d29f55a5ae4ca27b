"""What nobody has reckoned with: how it is told, and where it is found."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from airproof.cells.logs import ERRORS
from airproof.environment.capabilities import LogLine
from airproof.faults.wire import applied
from airproof.history import Explanation
from airproof.platform.driver import Tenant
from airproof.platform.requests import Answer, Request
from airproof.wire import Wire, http, on, postgres
from airproof_service.stage import PERSONAL, Stage

UNEXPECTED, BROKEN = "XX001", "page of nobody-knows-what is broken"
BECAUSE = "what nobody expects is an error"


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-3")
def test_what_nobody_expects_is_told_as_such_and_logged_as_an_error(stage: Stage, wire: Wire) -> None:
    """What a service has not reckoned with it tells without saying what it is, and logs as an error, once found."""
    del wire
    for route in (one for one in stage.routes if one.access in PERSONAL):
        request = replace(stage.rightful(route), correlation_id=f"unexpected-{stage.about.id}-{route.name}")
        names = (stage.about.id, stage.about.owner)
        link, rules = on(route.service, "postgres-*"), []
        explained = Explanation(route.service, logger="*", because=BECAUSE)
        with ExitStack() as broken:
            for name in names:
                rule = link.when(postgres.query(containing=name)).respond(sqlstate=UNEXPECTED, message=BROKEN)
                rules.append(broken.enter_context(applied(stage.cell, rule.preventable(), explains=[explained])))
            answer = stage.ask(request)
        if any(rule.fired for rule in rules):
            known = stage.cell.platform.manifest.identity != route.service
            _demand_bug_told(stage, answer, request, (BROKEN, stage.about.tenant.id if known else ""))
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("GW-2", "XS-4", "SEC-3")
def test_nonsense_about_a_user_is_told_as_such_and_logged_as_an_error(stage: Stage, wire: Wire) -> None:
    """While who knows whose token it is talks nonsense nobody is let in, nor believed who they are, by logs either."""
    del wire
    known = stage.cell.platform.manifest
    says = on(known.gateway, known.identity).when(http.request()).respond(status=200, body=BROKEN)
    explained = Explanation(known.gateway, logger="*", because=BECAUSE)
    pretended = replace(stage.about, tenant=Tenant(f"{stage.about.tenant.id}-pretended"))
    for route in (one for one in stage.reading if one.access in PERSONAL and one.service != known.identity):
        # Whoever asks is logged in by then.
        stage.ask(stage.rightful(route))
        correlation_id = f"nonsense-{stage.about.id}-{route.name}"
        request = replace(stage.rightful(route), correlation_id=correlation_id, pretended=pretended)
        with applied(stage.cell, says.preventable(), explains=[explained]):
            answer = stage.ask(request)
        _demand_bug_told(stage, answer, request)
        believed = [line.node for line in _lines(stage, request) if pretended.tenant.id in line.text]
        promise, expected = "whose something is no log believes a client", "no line with the tenant that they pretend"
        stage.demand(not believed, "GATEWAY", "believed", promise, expected, f"lines of {believed}", request)
    stage.judge()


def _demand_bug_told(stage: Stage, answer: Answer | None, request: Request, logs: tuple[str, ...] = ()) -> None:
    """Somebody is told that there is a bug, and a log what it is, in a line that holds these words."""
    told = answer is not None and answer.status >= 500
    promise = "what nobody expects is told as such, and not what it is"
    stage.demand(told, "GATEWAY", "wrong-status", promise, "500 or more", answer, request)
    if answer is not None:
        stage.demand(BROKEN not in answer.text, "SECURITY", "inside-told", promise, "nothing of it", answer, request)
        stage.demand_discreet(answer, request)
    if stage.cell.capabilities.logs is None:
        return
    lines = _lines(stage, request)
    logged = any(line.level in ERRORS and all(word in line.text for word in logs) for line in lines)
    promise = "what nobody expects is logged as an error, with whose request it was"
    expected = f"such a line with {request.correlation_id} {' '.join(logs)}"
    seen = f"{len(lines)} lines with it, of the levels {', '.join(sorted({line.level for line in lines})) or 'none'}"
    stage.demand(logged, "GATEWAY", "unlogged", promise, expected, seen, request)


def _lines(stage: Stage, request: Request) -> list[LogLine]:
    return [line for line in stage.log_lines() if request.correlation_id in line.text]
