"""HTTP to a cell: the gateway as a user sees it, the services and the mail sink as an operator does."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from airproof.environment.topology import CellDescription, Role
from airproof.errors import PlatformError, StartRefused
from airproof.platform.observation import Mail, SagaState
from airproof_pyairtable.manifest import GATEWAY, ORCHESTRATOR, WORKSPACES_PATH

TIMEOUT_S, ASKED_WITHIN_S = 20.0, 1.0
SAGAS_A_PAGE, MOST_SAGAS_A_PAGE = 4, 100
"""Few, so that pages follow one another in most tests that list sagas."""
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=4)
"""A connection is not used again when the service, which closes those that are idle for 5 s, may just be closing it."""


class Http:
    """Requests to one cell. Safe to use from several threads."""

    def __init__(self, cell: CellDescription) -> None:
        self._cell = cell
        self._operator = {"X-API-Key": cell.secrets["admin_key"]}
        self._client = httpx.Client(timeout=TIMEOUT_S, limits=LIMITS, trust_env=False)

    def register(self, fields: dict[str, Any], key: str) -> tuple[str, SagaState]:
        """Asks for a registration and returns the id of its saga, and its state. The request has another id than that.

        Raises:
            StartRefused: the request is wrong.
            PlatformError: any other answer than an acceptance, or none.
        """
        headers = {"Idempotency-Key": key.encode("latin-1"), "X-Correlation-ID": f"request-{uuid4()}".encode()}
        answer = self._send("POST", GATEWAY, "/auth/register", json=fields, headers=headers)
        return _started(answer)

    def start_saga(self, saga_type: str, tenant_id: str, fields: dict[str, Any]) -> str:
        """Asks the orchestrator itself for a saga, as nobody in particular.

        Raises:
            StartRefused: the orchestrator does not take it from nobody.
        """
        body = {"saga_type": saga_type, "correlation_id": str(uuid4()), "tenant_id": tenant_id, "input_data": fields}
        return _started(self._send("POST", ORCHESTRATOR, "/sagas/start", json=body))[0]

    def lets_in(self, email: str, password: str) -> bool:
        """Whether a login with these succeeds, and their workspaces are listed to whoever has it."""
        answer = self._send("POST", GATEWAY, "/auth/login", json={"email": email, "password": password})
        if answer.status_code in {401, 403}:
            return False
        token = _json(answer, 200)["access_token"]
        listed = self._send("GET", GATEWAY, WORKSPACES_PATH, headers={"Authorization": f"Bearer {token}"})
        return listed.status_code == 200

    def log_in(self, email: str, password: str) -> str:
        """Logs in and returns the access token."""
        answer = self._send("POST", GATEWAY, "/auth/login", json={"email": email, "password": password})
        return str(_json(answer, 200)["access_token"])

    def ask(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        """Asks a service for something, whose path is sent as it is spelled, and returns whatever it answers.

        Raises:
            PlatformError: it does not answer.
        """
        return self._send(method, service, path, **more)

    @contextmanager
    def unfinished(self, method: str, service: str, path: str, times: int, **more: Any) -> Iterator[None]:
        """Sends the head of a request over so many connections, half of its body when asked for it, and no more.

        Whoever is not asked for a body soon sends it all the same. Over as many others nothing is sent.
        """
        request, endpoint = self._request(method, service, path, **more), self._cell.node(service).endpoint
        heads = b"".join(b"%b: %b\r\n" % header for header in (*request.headers.raw, (b"Expect", b"100-continue")))
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), request.url.raw_path, heads)
        with ExitStack() as stack:
            address = endpoint.host, endpoint.port
            begun = [stack.enter_context(socket.create_connection(address, TIMEOUT_S)) for _ in range(times)]
            for connection in begun:
                connection.sendall(head)
            _wait_answered(begun)
            for connection in begun:
                connection.sendall(request.content[: len(request.content) // 2])
            for _ in range(times):
                stack.enter_context(socket.create_connection(address, TIMEOUT_S))
            yield

    def saga(self, saga_id: str) -> dict[str, Any]:
        """A saga, as the orchestrator reports it."""
        return dict(self._read(GATEWAY, f"/sagas/{saga_id}"))

    def find_saga(self, saga_id: str) -> dict[str, Any] | None:
        """A saga, as the orchestrator reports it; None if it knows of none."""
        answer = self._send("GET", GATEWAY, f"/sagas/{saga_id}", headers=self._operator)
        return None if answer.status_code == 404 else dict(_json(answer, 200))

    def sagas(self, tenant_id: str, a_page: int) -> list[dict[str, Any]]:
        """The sagas of a tenant, page by page, of so many each."""
        sagas = list[dict[str, Any]]()
        for page in count(1):
            answer = self._read(GATEWAY, "/sagas", tenant_id=tenant_id, page=str(page), limit=str(a_page))
            sagas += answer["sagas"]
            if not answer["has_next"]:
                break
        return sagas

    def set_limit(self, service: str, tenant_id: str, value: int | None) -> None:
        """Sets how much of its kind the service allows the tenant; None restores the default."""
        path = f"/api/v1/tenants/{quote(tenant_id)}/limits"
        if value is None:
            self._order("DELETE", service, path)
        else:
            self._order("PUT", service, path, json={"value": value})

    def set_legal_hold(self, service: str, tenant_id: str, *, held: bool) -> None:
        """Forbids the service to delete anything of the tenant, or allows it again."""
        self._order("PUT" if held else "DELETE", service, f"/api/v1/tenants/{quote(tenant_id)}/legal-hold")

    def retry_outbox(self, service: str, message_id: str) -> None:
        """Has the service send a parked message once more."""
        self._order("POST", service, f"/api/v1/outbox/{message_id}/retry")

    def mails(self) -> tuple[Mail, ...]:
        """The mails that the sink accepted."""
        answer = self._client.get(f"{self._sink()}/mails")
        names = ("message_id", "recipient", "subject", "text", "html")
        return tuple(Mail(*(one[name] for name in names)) for one in _json(answer, 200))

    def reject_recipient(self, recipient: str, *, rejected: bool) -> None:
        """Has the sink answer the recipient with 550 from now on, or no longer."""
        method = "PUT" if rejected else "DELETE"
        _json(self._client.request(method, f"{self._sink()}/rejections/{quote(recipient)}"), 200)

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def _sink(self) -> str:
        return f"http://{self._cell.node(Role.SMTP.value).control}"

    def _read(self, service: str, path: str, **params: str) -> Any:
        return _json(self._send("GET", service, path, params=params, headers=self._operator), 200)

    def _order(self, method: str, service: str, path: str, **more: Any) -> None:
        answer = self._send(method, service, path, headers=self._operator, **more)
        if not answer.is_success:
            raise PlatformError(f"{method} {path} of {service} was answered {told(answer)}")

    def _request(self, method: str, service: str, path: str, **more: Any) -> httpx.Request:
        url = httpx.URL(f"http://{self._cell.node(service).endpoint}").copy_with(raw_path=path.encode())
        return self._client.build_request(method, url, **more)

    def _send(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._client.send(self._request(method, service, path, **more))
        except httpx.TransportError as error:
            raise PlatformError(f"{method} {path} of {service} was not answered: {error!r}") from error


def _wait_answered(connections: Iterable[socket.socket]) -> None:
    """Until something has come over each of them, or for a while."""
    until = time.monotonic() + ASKED_WITHIN_S
    with selectors.DefaultSelector() as silent:
        for connection in connections:
            silent.register(connection, selectors.EVENT_READ)
        while silent.get_map() and time.monotonic() < until:
            for key, _ in silent.select(until - time.monotonic()):
                silent.unregister(key.fileobj)


def _started(answer: httpx.Response) -> tuple[str, SagaState]:
    if 400 <= answer.status_code < 500:
        raise StartRefused(told(answer), status=answer.status_code, code=error_in(answer))
    said = _json(answer, 202)
    if said.get("status") not in set(SagaState) or not isinstance(said.get("message"), str):
        raise PlatformError(f"{answer.request.url.path} was answered without a state and a message: {told(answer)}")
    return str(said["saga_id"]), SagaState(said["status"])


def _json(answer: httpx.Response, status: int) -> Any:
    if answer.status_code != status:
        raise PlatformError(f"{answer.request.method} {answer.request.url.path} was answered {told(answer)}")
    return answer.json()


def told(answer: httpx.Response) -> str:
    """What a service answered, for a message."""
    return f"{answer.status_code}: {answer.text[:600]}"


def error_in(answer: httpx.Response) -> str:
    """What the error in an answer is called, for programs; nothing if there is none that people are told of too."""
    try:
        error = answer.json()["error"]
        return str(error["code"]) if error["message"] else ""
    except (ValueError, KeyError, TypeError):
        return ""
