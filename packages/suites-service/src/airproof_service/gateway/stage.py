"""Requests through the gateway, on the record, and what they should have been answered."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly, judged
from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer, Request, Session

REFUSALS = frozenset({401, 403, 404})
UNAVAILABLE = frozenset({502, 503, 504})
PERSONAL = frozenset({Access.OWNER, Access.TENANT, Access.USER})


@dataclass
class Stage:
    """A scenario's view of the gateway.

    Attributes:
        about: the entity that requests are about.
    """

    cell: Cell
    about: EntityRef
    anomalies: list[Anomaly] = field(default_factory=list)

    @classmethod
    def of(cls, cell: Cell, tenant: Tenant) -> Stage:
        """A stage with a new entity of the tenant."""
        routes = cell.platform.manifest.routes
        if not routes:
            pytest.skip("the manifest declares no routes")
        return cls(cell, cell.platform.entities(routes[0].entity).create(tenant))

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes of the manifest."""
        return self.cell.platform.manifest.routes

    @property
    def reading(self) -> list[Route]:
        """Those that change nothing and are the users' own."""
        return [route for route in self.routes if not route.changes and route.access is not Access.OPERATOR]

    def rightful(self, route: Route) -> Request:
        """The request of somebody who may make it."""
        sessions = {Access.OPERATOR: Session.OPERATOR, Access.ANYBODY: Session.NONE}
        return Request(route, self.about, sessions.get(route.access, Session.USER))

    def ask(self, request: Request) -> Answer | None:
        """Makes the request; None if nobody answers."""
        shown = {"route": request.route.name, "as": request.session.value, "path": request.path, **request.fields}
        with self.cell.history.operation(f"ask {request.route.name}", args=shown) as operation:
            try:
                answer = self.cell.platform.requests.ask(request)
            except PlatformError as error:
                operation.info(error)
                return None
            operation.ok(answer.status)
        return answer

    def demand(
        self, good: bool, category: str, name: str, promise: str, expected: str, seen: object, request: Request
    ) -> None:
        """Notes an anomaly unless all is good."""
        if not good:
            told = request.path or self.cell.platform.requests.path(request.route, request.about)
            asked = f"{request.route.method} {told} with {request.session.value}"
            facts = [asked, f"as the owner of {request.user.id}" if request.user else ""]
            facts += [f"{name} {str(value)[:60]!r}" for name, value in request.fields.items()]
            facts += [f"the body {request.raw[:60]!r}"] if request.raw is not None else []
            witness = tuple(filter(None, facts))
            self.anomalies.append(Anomaly(category, name, promise, expected, str(seen or "no answer"), witness))

    def demand_served(self, route: Route, blames: str = "GATEWAY") -> None:
        """Somebody who may ask is answered."""
        answer, promise = self.ask(self.rightful(route)), "whoever may make a request is answered"
        served = answer is not None and answer.status < 400 and answer.readable
        self.demand(served, blames, "not-served", promise, "an answer", answer, self.rightful(route))

    def judge(self) -> None:
        """Fails the test if a promise was broken."""
        verdict = judged("requests", self.anomalies)
        self.cell.history.note("verdict", validity=verdict.validity.value, anomalies=verdict.anomalies)
        if not verdict:
            pytest.fail(str(verdict), pytrace=False)
