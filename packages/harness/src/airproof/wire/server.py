"""The control of a wire process over HTTP: JSON in and out, a bearer token, one request a connection.

GET    /health                        GET  /events?after=N&wait_s=S
GET    /links    POST /links          DELETE /links/NAME
GET    /rules    POST /rules          DELETE /rules/ID
GET    /rules/ID?until=held&wait_s=S  POST /rules/ID/release
POST   /recording {"links": GLOB, "on": true}
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from airproof.errors import AirproofError, FaultUnsupported, UsageError
from airproof.wire.service import Service
from airproof.wire.specs import LinkSpec

if TYPE_CHECKING:
    import h11

BODY_LIMIT_BYTES = 4 * 1024 * 1024
REQUEST_TIMEOUT_S = 30.0
FIRST_LOOK_S = 1.0
"""How long a new link's upstream may take to answer or refuse before the link is said to be there."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    body: Any

    def number(self, name: str, default: float = 0.0) -> float:
        """A number of the query."""
        try:
            return float(self.query.get(name, default))
        except ValueError as error:
            raise UsageError(f"{name} is {self.query[name]!r}, not a number") from error

    @property
    def wait_s(self) -> float:
        """How long the client wants to wait."""
        return self.number("wait_s")


class Control:
    """Answers control requests for a service.

    Args:
        token: what clients must send as `Authorization: Bearer`.
        secrets: values that no event may show.
    """

    def __init__(self, service: Service, token: str, secrets: list[str]) -> None:
        self._service = service
        self._token = token
        self._secrets = [token, *secrets]

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Begins to answer there."""
        return await asyncio.start_server(self._connected, host, port)

    async def answer(self, call: Call) -> Any:
        """Does what a call asks.

        Raises:
            AirproofError: it cannot be done.
            KeyError: there is no such call.
        """
        name = f"{call.method} {call.path[0]}" if call.path else ""
        return await self._calls[name, len(call.path)](call)

    @cached_property
    def _calls(self) -> dict[tuple[str, int], Callable[[Call], Awaitable[Any]]]:
        return {
            ("GET health", 1): self._health,
            ("GET links", 1): self._links,
            ("POST links", 1): self._add_link,
            ("DELETE links", 2): self._remove_link,
            ("GET rules", 1): self._rules,
            ("POST rules", 1): self._add_rule,
            ("GET rules", 2): self._rule,
            ("DELETE rules", 2): self._remove_rule,
            ("POST rules", 3): self._release,
            ("GET events", 1): self._events,
            ("POST recording", 1): self._record,
        }

    async def _health(self, _: Call) -> Any:
        service = self._service
        return {"boot": service.boot, "now": monotonic(), "links": len(service.links), "rules": len(service.rules)}

    async def _links(self, _: Call) -> Any:
        return [link.to_json() for link in self._service.links.values()]

    async def _add_link(self, call: Call) -> Any:
        link = self._service.add_link(link_spec(call.body))
        await link.settled(FIRST_LOOK_S)
        return link.to_json()

    async def _remove_link(self, call: Call) -> Any:
        self._service.remove_link(call.path[1])

    async def _rules(self, _: Call) -> Any:
        return [{**armed.status(), "rule": armed.rule.to_json()} for armed in self._service.rules.values()]

    async def _add_rule(self, call: Call) -> Any:
        if not isinstance(call.body, dict):
            raise UsageError("a rule is a JSON object, as Rule.to_json makes it")
        return self._service.add_rule(call.body).status()

    async def _rule(self, call: Call) -> Any:
        armed = self._service.rule(call.path[1])
        until = call.query.get("until", "")
        conditions: dict[str, Callable[[], bool]] = {
            "held": lambda: bool(armed.held),
            "fired": lambda: armed.counts.fired > call.number("after"),
        }
        if until in conditions:
            await armed.wait(conditions[until], call.wait_s)
        elif until:
            raise UsageError(f"a rule cannot be waited for until {until!r}; it can until held, or fired")
        return armed.status()

    async def _remove_rule(self, call: Call) -> Any:
        return self._service.remove_rule(call.path[1])

    async def _release(self, call: Call) -> Any:
        if call.path[2] != "release":
            raise KeyError(call.path[2])
        return {"released": self._service.rule(call.path[1]).release()}

    async def _events(self, call: Call) -> Any:
        read = await self._service.journal.read(int(call.number("after")), call.wait_s, self._redact)
        return {"boot": self._service.boot, "now": monotonic(), **read}

    async def _record(self, call: Call) -> Any:
        return self._service.record(str(call.body["links"]), on=bool(call.body["on"]))

    @cached_property
    def _redact(self) -> Callable[[Any], Any]:
        from airproof.history.redaction import Redactor

        return Redactor(self._secrets).value

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
        with suppress(ConnectionError, TimeoutError):
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    request, body = await _read(connection, reader)
                status, answer = await self._respond(request, body)
            except h11.RemoteProtocolError as error:
                status, answer = 400, _error("UsageError", str(error))
            if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                writer.write(_response(connection, status, answer))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _respond(self, request: h11.Request, body: bytes) -> tuple[int, Any]:
        sent = dict(request.headers).get(b"authorization", b"")
        if not hmac.compare_digest(sent, b"Bearer " + self._token.encode()):
            return 401, _error("UsageError", "the token is missing or wrong; send Authorization: Bearer TOKEN")
        try:
            return 200, await self.answer(_call(request, body))
        except KeyError as error:
            return 404, _error("UsageError", f"no such call, or it lacks {error}; see airproof.wire.server")
        except FaultUnsupported as error:
            return 409, _error("FaultUnsupported", str(error))
        except (AirproofError, ValueError, TypeError) as error:
            return 400, _error("UsageError", str(error))


def link_spec(data: Any) -> LinkSpec:
    """The link that JSON describes.

    Raises:
        UsageError: a field is unknown or missing.
    """
    try:
        return LinkSpec(**data)
    except TypeError as error:
        raise UsageError(f"not a link: {error}; it has {', '.join(LinkSpec.__dataclass_fields__)}") from error


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    import h11

    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(64 * 1024))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT_BYTES:
                raise h11.RemoteProtocolError("the body is too long")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise ConnectionAbortedError


def _response(connection: h11.Connection, status: int, answer: Any) -> bytes:
    import h11

    body = json.dumps(answer).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    parts = [
        connection.send(h11.Response(status_code=status, headers=headers)),
        connection.send(h11.Data(data=body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in parts if part)


def _call(request: h11.Request, body: bytes) -> Call:
    url = urlsplit(request.target.decode("ascii", errors="replace"))
    path = tuple(unquote(part) for part in url.path.split("/") if part)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    return Call(request.method.decode(), path, query, json.loads(body) if body else {})


def _error(kind: str, message: str) -> dict[str, str]:
    return {"error": kind, "message": message}
