from __future__ import annotations

import re

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly, judged
from airproof.platform.manifest import Access, Manifest, Route, Service
from airproof.platform.requests import Request, ServiceToken, Session
from airproof_service.stage import REFUSALS, Stage


@pytest.mark.smoke
@pytest.mark.covers("XS-4")
def test_a_service_describes_what_it_can_be_asked_for(cell: Cell) -> None:
    """Whoever writes a client finds in a service's own description every request that there is."""
    anomalies = []
    for service, wanted in _wanted(cell.platform.manifest).items():
        described = {_shape(one) for one in cell.platform.requests.described(service)}
        if lacking := sorted(wanted - described):
            promise, expected = "a service describes all that it can be asked for", f"{', '.join(lacking)} of {service}"
            anomalies.append(Anomaly("CONTRACT", "not-described", promise, expected, f"{len(described)} others"))
    verdict = judged("descriptions", anomalies)
    if not verdict:
        pytest.fail(str(verdict), pytrace=False)


@pytest.mark.smoke
@pytest.mark.covers("XS-4")
def test_what_is_answered_is_as_its_service_describes_it(stage: Stage) -> None:
    """Whoever has written a client by a service's own description understands each answer."""
    for route in stage.routes:
        request = stage.rightful(route)
        if answer := stage.ask(request):
            wrong, promise = (
                stage.cell.platform.requests.differs(route, answer),
                "what is answered is as it is described",
            )
            expected = f"an answer as {route.service} describes it"
            stage.demand(not wrong, "CONTRACT", "not-as-described", promise, expected, wrong, request)
    stage.judge()


@pytest.mark.covers("SEC-1", "SEC-2")
def test_what_a_service_describes_is_done_for_no_stranger(stage: Stage) -> None:
    """Whatever a service says that it can be asked for, also what nobody else knows of, it does for no stranger."""
    requests, entity = stage.cell.platform.requests, stage.routes[0].entity
    for service in stage.cell.platform.manifest.services:
        for operation in sorted({_shape(one) for one in requests.described(service.name)} - _open(service)):
            method, path = operation.replace("{}", "{id}").split()
            route = Route(operation, method, path, entity, service.name, Access.OPERATOR)
            answer = requests.ask_service(route, stage.about, ServiceToken.NONE)
            promise, closed = "what can be asked for is done for no stranger", answer.status in REFUSALS - {404}
            expected, seen = f"401 or 403 of {service.name}", f"{answer}"
            request = Request(route, stage.about, Session.NONE)
            stage.demand(closed, "SECURITY", "stranger-served", promise, expected, seen, request)
    stage.judge()


@pytest.mark.covers("SEC-3")
def test_what_anybody_may_ask_a_service_tells_nothing(stage: Stage) -> None:
    """What a service says to whoever asks, of itself and how it is, holds no secret, nobody and nothing of theirs."""
    requests, about = stage.cell.platform.requests, stage.about
    secret = (*requests.secrets(about.tenant), *requests.personal(about.tenant), about.id, about.owner, about.tenant.id)
    for service in stage.cell.platform.manifest.services:
        for path in (service.health_path, service.ready_path, service.metrics_path, service.description_path):
            said = requests.said(service.name, path).lower()
            if any(one.lower() in said for one in secret):
                promise, seen = "what anybody may ask a service tells nothing", f"{path} of {service.name}"
                stage.anomalies.append(Anomaly("SECURITY", "told-to-anybody", promise, "no secret, nobody", seen))
    stage.judge()


def _wanted(manifest: Manifest) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for route in (*manifest.routes, *manifest.closed):
        wanted.setdefault(route.service, set()).add(_shape(f"{route.method} {route.path.partition('?')[0]}"))
    return wanted or pytest.skip("the manifest declares no routes")


def _open(service: Service) -> set[str]:
    """What anybody may ask."""
    paths = service.health_path, service.ready_path, service.metrics_path, service.description_path
    return {f"GET {path}" for path in paths}


def _shape(request: str) -> str:
    return re.sub(r"{[^}]*}", "{}", request)
