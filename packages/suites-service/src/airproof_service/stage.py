"""Requests through the gateway, on the record, and what they should have been answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly, judged
from airproof.environment.capabilities import LogLine
from airproof.environment.topology import Role
from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess, EntityRef
from airproof.platform.manifest import Access, Route
from airproof.platform.requests import Answer, Request, Session
from airproof.waiting import wait_until

LONGEST_ERROR, AGAIN_S = 300, 60.0
LONGEST_PAGE, WAIT_S = 100, 10.0
REFUSALS = frozenset({401, 403, 404})
TIMED_OUT = 504
UNAVAILABLE = frozenset({502, 503, TIMED_OUT})
PASSING = frozenset({408, 409, 425, 429})
"""Refusals that there may be no cause for a moment later."""
PERSONAL = frozenset({Access.OWNER, Access.TENANT, Access.USER, Access.SELF})
FULL = "OOM command not allowed when used memory > 'maxmemory'."
"""What Redis answers that has no room."""


@contextmanager
def replica_held(cell: Cell, entities: EntityAccess) -> Iterator[None]:
    """The database's read replica learns of nothing until the context ends."""
    with cell.history.fault("replica held", Role.POSTGRES_REPLICA.value) as fault:
        with entities.replica_held():
            fault.evidence("it replays nothing")
            yield
        fault.healed("it replays again")


@dataclass
class Stage:
    """A scenario's view of the gateway.

    Attributes:
        about: the entity that requests are about.
    """

    cell: Cell
    about: EntityRef
    anomalies: list[Anomaly] = field(default_factory=list)
    _log_mark: dict[str, int] = field(default_factory=dict)
    _answers: list[tuple[str, Request]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if logs := self.cell.capabilities.logs:
            self._log_mark = logs.mark()

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

    def page(self, route: Route, page: int, limit: int) -> Request:
        """The request of the owner for a page of what the route lists."""
        paged = route.paged
        query = paged.query.format(page=page, limit=limit) if paged else ""
        path = self.cell.platform.requests.path(route, self.about).partition("?")[0]
        return replace(self.rightful(route), path=f"{path}?{query}")

    def wait_listed(self, route: Route, refs: Sequence[EntityRef]) -> None:
        """Waits until the owner's list ends with the last of them.

        One that never does is found out by what is demanded of it.
        """
        last = -(-len(refs) // LONGEST_PAGE)

        def listed() -> bool:
            answer = self.ask(self.page(route, last, LONGEST_PAGE))
            return answer is not None and refs[-1].id in answer.text

        with suppress(WaitTimeout):
            wait_until(listed, timeout_s=WAIT_S, describe=f"{route.name} to show {len(refs)} things")

    def ask(self, request: Request, *, invented: bool = False) -> Answer | None:
        """Makes the request; None if nobody answers. An error has the one shape of errors, if it is not invented."""
        shown = {
            "route": request.route.name,
            "as": request.session.value,
            "method": request.method,
            "path": request.path,
            **request.fields,
        }
        with self.cell.history.operation(f"ask {request.route.name}", args=shown) as operation:
            try:
                answer = self.cell.platform.requests.ask(request)
            except PlatformError as error:
                operation.info(error)
                return None
            operation.ok(answer.status)
        if not invented:
            self.demand_shape(answer, request)
        return answer

    def demand(
        self, good: bool, category: str, name: str, promise: str, expected: str, seen: object, request: Request
    ) -> None:
        """Notes an anomaly unless all is good."""
        if not good:
            told = request.path or self.cell.platform.requests.path(request.route, request.about)
            asked = f"{request.method or request.route.method} {told} with {request.session.value}"
            facts = [asked, f"as the owner of {request.user.id}" if request.user else ""]
            facts += [f"{name} {str(value)[:60]!r}" for name, value in request.fields.items()]
            facts += [f"without {request.left_out}"] if request.left_out else []
            facts += [f"the body {request.raw[:60]!r}"] if request.raw is not None else []
            witness = tuple(filter(None, facts))
            self.anomalies.append(Anomaly(category, name, promise, expected, str(seen or "no answer"), witness))

    def demand_shape(self, answer: Answer, request: Request) -> None:
        """An error has the one shape of errors; whatever is answered says how it is found.

        Whether it tells a secret is judged in the end, when it is known what has become one.
        """
        self._answers.append((answer.text, request))
        shaped = answer.status < 400 or (answer.error and answer.readable) or request.method == "HEAD"
        promise, expected = "every error has the one shape of errors", "code and message, as JSON"
        self.demand(bool(shaped), "CONTRACT", "error-shape", promise, expected, answer, request)
        names = self.cell.platform.manifest.errors.get(answer.status, ())
        known, promise = not names or answer.error in ("", *names), "an error is called as clients know it"
        self.demand(known, "CONTRACT", "error-name", promise, " or ".join(names), answer, request)
        self._demand_head(answer, request)

    def _demand_head(self, answer: Answer, request: Request) -> None:
        named, expected = set(answer.correlation_ids), "the same id wherever one belongs"
        promise, seen = "an answer says under which id it is found", f"{', '.join(map(repr, named))} in {answer}"
        alike = len(named) == 1 and "" not in named
        self.demand(alike, "GATEWAY", "no-correlation-id", promise, expected, seen, request)
        promise, expected = "no page of another site can ask in a user's name", "nothing that lets it read the answer"
        seen = f"open to {answer.open_to}"
        self.demand(not answer.open_to, "SECURITY", "open-to-other-sites", promise, expected, seen, request)
        promise, expected = "who asks again is shown what there is by then", "an answer that nobody on the way may keep"
        seen = f"kept for {answer.kept_for_s:g} s"
        self.demand(not answer.kept_for_s, "CACHE", "kept-on-the-way", promise, expected, seen, request)
        promise, expected = "who is told that it is not possible now is told when it is", f"in {AGAIN_S:g} s at most"
        seen = f"{answer}, again in {answer.again_in_s or 'unknown'} s"
        told = answer.status != 503 or 0 < (answer.again_in_s or 0) <= AGAIN_S
        self.demand(told, "GATEWAY", "no-retry", promise, expected, seen, request)
        promise, expected = "who is refused for what they ask is not told to ask the same again", "no time to do so"
        in_vain = 400 <= answer.status < 500 and answer.status not in PASSING and answer.again_in_s is not None
        self.demand(not in_vain, "GATEWAY", "retry-in-vain", promise, expected, seen, request)
        promise, expected = "who asks by a method that there is not is told which there are", "a head that allows some"
        told = answer.status != 405 or bool(answer.allows)
        self.demand(told, "GATEWAY", "no-methods", promise, expected, answer, request)

    def demand_served(self, route: Route, blames: str = "GATEWAY", *, by: EntityRef | None = None) -> None:
        """Somebody who may ask, or the owner of `by`, is answered."""
        request = replace(self.rightful(route), user=by)
        answer, promise = self.ask(request), "whoever may make a request is answered"
        served = answer is not None and answer.status < 400 and answer.readable
        self.demand(served, blames, "not-served", promise, "an answer", answer, request)
        if served and answer:
            self.demand_shown(answer, request)

    def demand_queries(self, route: Route) -> None:
        """Whoever asks with other parameters, or none, is answered."""
        path = route.path.partition("?")[0]
        for query, shows in route.queries.items():
            spelled = replace(route, path=f"{path}?{query}".rstrip("?"), shows=shows, kinds={})
            request = self.rightful(spelled)
            if answer := self.ask(request):
                self.demand_shown(answer, request)

    def demand_shown(self, answer: Answer, request: Request) -> None:
        """What is answered is what there is, of the kind and with the status that clients reckon with."""
        route, promise = request.route, "an answer has the status that clients reckon with"
        right = answer.status == route.answered
        self.demand(right, "CONTRACT", "wrong-status", promise, str(route.answered), answer, request)
        known, promise = self.cell.platform.requests.shown(route, self.about), "what is shown is what there is"
        seen = {place: answer.at(place) for place in known}
        self.demand(seen == known, "CONTRACT", "wrong-answer", promise, str(known), seen, request)
        told = {place: answer.at(place) for place in route.kinds}
        wrong = {place: told[place] for place, kind in route.kinds.items() if type(told[place]) is not kind}
        promise = "what is shown is of the kind that clients reckon with"
        expected = ", ".join(f"{place} {route.kinds[place].__name__}" for place in wrong)
        self.demand(not wrong, "CONTRACT", "wrong-kind", promise, expected, wrong, request)

    def demand_discreet(self, answer: Answer | None, request: Request) -> None:
        """An error says that something is away, and nothing of what was asked of it."""
        if answer is None or answer.status not in UNAVAILABLE:
            return
        told, about = answer.without(), request.about
        cell = self.cell.description
        addresses = {
            str(one) for one in (*(node.endpoint for node in cell.nodes), *(link.endpoint for link in cell.links))
        }
        inside = [one for one in (about.id, about.owner, about.tenant.id, *addresses) if one in told]
        good = not inside and len(told) <= LONGEST_ERROR
        promise, expected = (
            "what goes wrong inside is told to nobody outside",
            f"{LONGEST_ERROR} letters without ids and addresses",
        )
        seen = f"{len(told)} letters: {told[:LONGEST_ERROR]}"
        self.demand(good, "SECURITY", "inside-told", promise, expected, seen, request)

    def judge(self) -> None:
        """Fails the test if a promise was broken."""
        secrets = self.cell.platform.requests.secrets(self.about.tenant)
        for text, request in self._answers:
            told, promise = any(one in text for one in secrets), "an answer tells no secret, nor how it is kept"
            self.demand(not told, "SECURITY", "secret-told", promise, "none", "a secret in the answer", request)
        self.anomalies += self._secrets_in_logs(secrets)
        verdict = judged("requests", self.anomalies)
        self.cell.history.note("verdict", validity=verdict.validity.value, anomalies=verdict.anomalies)
        if not verdict:
            pytest.fail(str(verdict), pytrace=False)

    def log_lines(self) -> list[LogLine]:
        """What the nodes have written since the stage was made, where the provider can tell."""
        logs = self.cell.capabilities.logs
        return logs.since(self._log_mark) if logs else []

    def _secrets_in_logs(self, secrets: Collection[str]) -> Iterator[Anomaly]:
        people, lines = self.cell.platform.requests.personal(self.about.tenant), self.log_lines()
        told = {line.node for line in lines if any(one in line.text for one in secrets)}
        named = {line.node for line in lines if any(one in line.text.lower() for one in people)}
        for name, what, nodes in (("secret-in-a-log", "a secret", told), ("person-in-a-log", "who somebody is", named)):
            if nodes:
                seen = f"lines of {', '.join(sorted(nodes))}"
                yield Anomaly("SECURITY", name, f"no log holds {what}", "none", seen)
