"""The requests of the manifest, made over HTTP in whoever's name."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any
from uuid import uuid4

import httpx
import jwt

from airproof.environment.topology import CellDescription
from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Access, Route, Step
from airproof.platform.observation import SagaState
from airproof.platform.requests import Answer, Request, ServiceToken, Session
from airproof.waiting import wait_until
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.descriptions import Descriptions
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import Http, error_in, told
from airproof_pyairtable.manifest import GATEWAY, MANIFEST, ORCHESTRATOR, PERMISSION_CHECK, WORKSPACE
from airproof_pyairtable.places import database_of
from airproof_pyairtable.poison import address
from airproof_pyairtable.stores import Stores

SERVICE_TOKENS = jwt.encode({}, "x" * 32, algorithm="HS256").partition(".")[0]
CORRELATION, REQUEST = "X-Correlation-ID", "X-Request-ID"
PIECE_BYTES = 65_536
SHORT_LIFE_S = 3
ANOTHER_SITE = "https://another-site.example"
GIVEN_UP, HANDLED = "pyairtable_dead_letters_total", "pyairtable_messages_handled_total"
REPEATED, REPLIED = "pyairtable_messages_retried_total", "pyairtable_commands_total"
SENT, ENDED, READ = "pyairtable_messages_published_total", "pyairtable_sagas_total", "pyairtable_cache_reads_total"
TOOK = "pyairtable_http_request_seconds_sum"
ANSWERED = re.compile(r'^pyairtable_http_requests_total\{.*status="(\d+)".*\} (\S+)$', re.MULTILINE)
LASTS = re.compile(r"(?:max-age|s-maxage|stale-while-revalidate)=(\d+)")
PERSONAL, SHORT = ("email", "first_name", "last_name"), 5
_REGISTERED = "SELECT input->>%(name)s AS value FROM saga_instances WHERE tenant_id = ANY (%(tenants)s)"
_SAGA = "SELECT saga_id FROM workspaces WHERE id::text = %(id)s"


class Requests:
    """See `airproof.platform.requests.RequestAccess`."""

    def __init__(self, http: Http, doors: Doors, databases: Databases, stores: Stores, cell: CellDescription) -> None:
        self._http = http
        self._stores = stores
        self._databases = databases
        self._doors = doors
        self._cell = cell
        self._descriptions = Descriptions(http)

    def path(self, route: Route, about: EntityRef) -> str:
        """The route's path for that entity."""
        return str(self._filled(route.path, about))

    def ask(self, request: Request) -> Answer:
        """Makes the request at the gateway."""
        return self._ask(request, GATEWAY, self._path(request), self._headers(request))

    def unfinished(self, request: Request, count: int) -> AbstractContextManager[None]:
        """Begins it at the gateway."""
        more = {"headers": self._headers(request), **self._content(request)}
        return self._http.unfinished(request.route.method, GATEWAY, self._path(request), count, **more)

    def ask_service(
        self,
        route: Route,
        about: EntityRef,
        token: ServiceToken,
        fields: Mapping[str, Any] | None = None,
        *,
        node: str = "",
    ) -> Answer:
        """Makes the request in the gateway's place; a change has a key of its own."""
        headers: dict[str, Any] = self._doors.identity(about, route.service, token)
        if route.access is Access.SELF:
            headers |= self._session(Session.USER, about)
        if token is ServiceToken.OPERATOR:
            headers |= self._session(Session.OPERATOR, about)
        if route.changes:
            headers["Idempotency-Key"] = str(uuid4()).encode()
        request = Request(route, about, fields=fields or {})
        return self._ask(request, node or route.service, self.path(route, about), headers)

    def ask_service_again(self, route: Route, about: EntityRef) -> tuple[Answer, Answer]:
        """Asks in the gateway's place, with a token that lives for a moment."""
        headers: dict[str, Any] = self._doors.identity(about, route.service, ServiceToken.VALID, lives_s=SHORT_LIFE_S)
        if route.access is Access.SELF:
            headers |= self._session(Session.USER, about)
        request, path, over_at = Request(route, about), self.path(route, about), time.time() + SHORT_LIFE_S
        first = self._ask(request, route.service, path, headers)
        wait_until(lambda: time.time() > over_at, timeout_s=2 * SHORT_LIFE_S, describe="the token to expire")
        return first, self._ask(request, route.service, path, headers)

    def probe(self, service: str, path: str) -> int:
        """The status of a probe."""
        return self._http.ask("GET", service, path).status_code

    def said(self, service: str, path: str) -> str:
        """The body of the answer."""
        return self._http.ask("GET", service, path).text

    def counted(self, service: str) -> str:
        """The service's metrics."""
        answer = self._http.ask("GET", service, MANIFEST.service(service).metrics_path)
        if answer.status_code != 200:
            raise PlatformError(f"the metrics of {service} were answered {told(answer)}")
        return answer.text

    def answered(self, service: str) -> Mapping[int, float]:
        """What its metrics say of requests, whatever their method."""
        counts = Counter[int]()
        for status, count in ANSWERED.findall(self.counted(service)):
            counts[int(status)] += int(float(count))
        return counts

    def answered_in_s(self, service: str) -> float:
        """What its metrics say of requests, whatever their method."""
        return self._sum(service, TOOK)

    def memory_bytes(self, service: str) -> float:
        """What its metrics say of the process."""
        return self._of_process(service, "resident_memory_bytes")

    def processor_s(self, service: str) -> float:
        """What its metrics say of the process."""
        return self._of_process(service, "cpu_seconds_total")

    def _of_process(self, service: str, name: str) -> float:
        found = re.search(rf"^process_{name} (\S+)$", self.counted(service), re.MULTILINE)
        if found is None:
            raise PlatformError(f"the metrics of {service} do not tell process_{name}")
        return float(found[1])

    def ended(self, service: str, state: SagaState) -> float:
        """What its metrics say of sagas, of whatever kind."""
        return self._sum(service, ENDED, f'state="{state}"')

    def described(self, service: str) -> Collection[str]:
        """The operations of its OpenAPI document."""
        return self._descriptions.operations(service)

    def differs(self, route: Route, answer: Answer) -> str:
        """Compares it with the schema in the service's OpenAPI document."""
        return self._descriptions.differs(route, answer)

    def handled(self, service: str) -> float:
        """What its metrics say of messages, whatever their topic."""
        return self._sum(service, HANDLED)

    def repeated(self, service: str) -> float:
        """What its metrics say of tries at messages, whatever their topic."""
        return self._sum(service, REPEATED)

    def replied(self, step: Step, action: str, *, refused: bool) -> float:
        """What the participant's metrics say of commands."""
        outcome = "refused" if refused else "done"
        return self._sum(step.participant, REPLIED, f'action="{action}"', f'outcome="{outcome}"', f'step="{step.name}"')

    def sent(self, service: str) -> float:
        """What its metrics say of messages that the broker has, whatever their kind."""
        return self._sum(service, SENT)

    def looked_up(self, service: str, *, found: bool) -> float:
        """What its metrics say of reads of caches, whatever they are called."""
        hits = self._sum(service, READ, 'outcome="hit"')
        return hits if found else self._sum(service, READ) - hits

    def given_up(self, service: str) -> float:
        """What its metrics say of dead letters, whoever made them."""
        return self._sum(service, GIVEN_UP)

    def _sum(self, service: str, name: str, *labels: str) -> float:
        lines = [line for line in self.counted(service).splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels))

    def allowed(self, user: EntityRef, about: EntityRef, action: str, *, whom: EntityRef | None = None) -> bool:
        """What permission-service says to the user, who asks about a user of their own tenant."""
        verb, _, inside = action.partition(" ")
        asked = {"user_id": (whom or user).owner, "tenant_id": user.tenant.id, "action": verb}
        about_it = {"resource_type": inside or WORKSPACE.name, "resource_id": about.id}
        answer = self._doors.through_the_gateway(user, "POST", PERMISSION_CHECK, json=asked | about_it)
        if answer.status_code in {403, 404}:
            return False
        if answer.status_code != 200:
            raise PlatformError(f"who may {action} workspace {about.id} was answered {told(answer)}")
        return bool(answer.json()["allowed"])

    def exchange_at_once(self, user: EntityRef, times: int) -> int:
        """Exchanges a new pair of the user's by several threads."""
        return self._doors.exchange_at_once(user, times)

    def secrets(self, *tenants: Tenant) -> tuple[str, ...]:
        """The cell's secrets, what users have shown, how that is kept, and how the tokens of services begin."""
        passwords, shown = self._registered_with("password_hash", tenants), self._doors.shown()
        tokens = (hashlib.sha256(one.encode()).hexdigest() for one in shown)
        return (*self._cell.secrets.values(), *shown, *passwords, *tokens, SERVICE_TOKENS)

    def personal(self, *tenants: Tenant) -> tuple[str, ...]:
        """Addresses and names; none that other words may hold by chance."""
        told = [text.lower() for name in PERSONAL for text in self._registered_with(name, tenants)]
        told += [address(tenant.id).lower() for tenant in tenants]
        return tuple(text for text in told if len(text) > SHORT)

    def kept(self) -> tuple[str, ...]:
        """The tables, and the kinds of keys in Redis, that hold what users have shown."""
        return self._stores.holding(self._doors.shown())

    def body(self, route: Route, about: EntityRef) -> dict[str, Any]:
        """The route's body for that entity."""
        return {name: self._filled(value, about) for name, value in (route.body or {}).items()}

    def shown(self, route: Route, about: EntityRef) -> dict[str, Any]:
        """What is known of the route's answer for that entity."""
        return {place: self._filled(value, about) for place, value in route.shows.items()}

    def _path(self, request: Request) -> str:
        return request.path or self.path(request.route, request.about)

    def _headers(self, request: Request) -> dict[str, Any]:
        asking = request.user or request.about
        headers = _bearer(request.token) if request.token else self._session(request.session, asking)
        headers["Origin"] = ANOTHER_SITE
        if request.method == "OPTIONS":
            headers["Access-Control-Request-Method"] = request.route.method
        if request.pretended:
            said = {"X-User-ID": request.pretended.owner, "X-Tenant-ID": request.pretended.tenant.id}
            headers |= {**said, "X-User-Roles": "admin", "X-Forwarded-User": request.pretended.owner}
        if request.correlation_id:
            # Under either name: those with a body have it under the one that other platforms use.
            headers[REQUEST if request.route.body else CORRELATION] = request.correlation_id.encode("latin-1")
        if request.key:
            headers["Idempotency-Key"] = request.key.encode("latin-1")
        if request.raw is not None or request.content_type or request.halfway:
            headers["Content-Type"] = request.content_type or "application/json"
        return headers

    def _content(self, request: Request) -> dict[str, Any]:
        """The body, as the client takes it."""
        if request.raw is not None:
            return {"content": _pieces(request.raw) if request.chunked else request.raw}
        if request.route.body is None:
            return {}
        fields = {**self.body(request.route, request.about), **request.fields}
        sent = {name: value for name, value in fields.items() if name != request.left_out}
        return {"content": _halves(json.dumps(sent).encode(), request.halfway)} if request.halfway else {"json": sent}

    def _ask(self, request: Request, service: str, path: str, headers: dict[str, Any]) -> Answer:
        method, body = request.method or request.route.method, self._content(request)
        answer = self._http.ask(method, service, path, headers=headers, **body)
        return Answer(
            answer.status_code,
            answer.text,
            correlation_ids=_correlation_ids(answer),
            error=error_in(answer),
            readable=_is_readable(answer),
            again_in_s=_again_in_s(answer),
            allows=str(answer.headers.get("Allow", "")),
            open_to=_open_to(answer),
            kept_for_s=_kept_for_s(answer),
        )

    def _filled(self, value: Any, about: EntityRef) -> Any:
        """The value with everything in it that is the entity's or its owner's."""
        if not isinstance(value, str):
            return value
        named = {**self._doors.known(about.owner), "id": about.id, "owner": about.owner, "tenant": about.tenant.id}
        if "{saga}" in value:
            named["saga"] = self._saga_of(about)
        for name, text in named.items():
            value = value.replace(f"{{{name}}}", str(text))
        return value

    def _registered_with(self, name: str, tenants: Collection[Tenant]) -> tuple[str, ...]:
        """That of all registrations, also of those that were undone; of one that is forgotten there is none."""
        values = {"name": name, "tenants": [tenant.id for tenant in tenants]}
        rows = self._databases.all(database_of(ORCHESTRATOR), _REGISTERED, values)
        return tuple(str(row["value"]) for row in rows if row["value"] is not None)

    def _saga_of(self, about: EntityRef) -> str:
        """The registration that made the workspace; none there is for a workspace that is not there."""
        row = self._databases.one(database_of(WORKSPACE.service), _SAGA, {"id": about.id})
        return str(row["saga_id"]) if row else about.id

    def _session(self, session: Session, user: EntityRef) -> dict[str, Any]:
        match session:
            case Session.NONE:
                return {}
            case Session.OPERATOR:
                return {"X-API-Key": self._cell.secrets["admin_key"]}
            case Session.NO_OPERATOR:
                return {"X-API-Key": self._cell.secrets["admin_key"][:-1]}
            case Session.NEARLY_OPERATOR:
                return {"X-API-Key": self._cell.secrets["admin_key"].swapcase()}
            case Session.FORGED:
                token = "f" * 43
            case Session.GARBLED:
                garbled = "é".encode("latin-1") * 43
                return {"Authorization": b"Bearer " + garbled, "X-API-Key": garbled}
            case Session.LOGGED_OUT:
                token = self._doors.logged_out(user)
            case Session.EXCHANGED:
                token = self._doors.exchanged(user)
            case Session.EXPIRED:
                token = self._doors.expired(user)
            case Session.REFRESH:
                token = self._doors.refresh(user)
            case Session.USER:
                token = self._doors.session(user)
        return _bearer(token)


def _bearer(token: str) -> dict[str, Any]:
    # In another spelling than where somebody logs out: the name of a scheme is the same in small letters.
    return {"Authorization": f"bearer {token}"}


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))


def _halves(body: bytes, halfway: Callable[[], object]) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    halfway()
    yield body[len(body) // 2 :]


def _correlation_ids(answer: httpx.Response) -> tuple[str, ...]:
    named = [answer.headers.get(CORRELATION, "")]
    with suppress(json.JSONDecodeError, KeyError, TypeError):
        named.append(answer.json()["error"].get("correlation_id", ""))
    return tuple(named)


def _is_readable(answer: httpx.Response) -> bool:
    if not answer.content:
        return True
    with suppress(json.JSONDecodeError):
        answer.json()
        return str(answer.headers.get("Content-Type", "")).partition(";")[0] == "application/json"
    return False


def _again_in_s(answer: httpx.Response) -> float | None:
    said = str(answer.headers.get("Retry-After", ""))
    return float(said) if said.isdecimal() else None


def _kept_for_s(answer: httpx.Response) -> float:
    said = str(answer.headers.get("Cache-Control", "")).lower()
    if "no-store" in said or "no-cache" in said:
        return 0.0
    return max(map(float, LASTS.findall(said)), default=0.0)


def _open_to(answer: httpx.Response) -> str:
    said = str(answer.headers.get("Access-Control-Allow-Origin", ""))
    return said if said in {"*", ANOTHER_SITE} else ""
