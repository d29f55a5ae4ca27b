"""The test's side of a wire process: applies rules, waits for what they do, reads events. Safe to use from threads."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from airproof.errors import FaultNotObserved, FaultUnsupported, PlatformError, UsageError, WaitTimeout
from airproof.wire.rules import Rule
from airproof.wire.specs import LinkSpec

Event = dict[str, Any]
"""What a wire has seen or done: `number`, `kind`, `link`, `connection`, times in monotonic seconds of its machine."""

_ANSWER_TIMEOUT_S = 30.0


class WireGone(PlatformError):
    """A wire process does not answer: it has ended, and with it the connections of its links; read its log."""


class Wire:
    """The control of one wire process.

    Any method raises `WireGone` when it does not answer.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host = host
        self._port = port
        self._token = token

    def health(self) -> dict[str, Any]:
        """`boot` (new with every start), `now` by the wire's monotonic clock, how many `links` and `rules`."""
        return dict(self._call("GET", "/health"))

    def links(self) -> list[dict[str, Any]]:
        """The links: their description, `listening`, how many `connections`, `recording`."""
        return list(self._call("GET", "/links"))

    def add_link(self, spec: LinkSpec) -> dict[str, Any]:
        """Opens a link; what it gives has the port.

        Raises:
            UsageError: there is one of that name, or its port is taken.
        """
        return dict(self._call("POST", "/links", asdict(spec)))

    def remove_link(self, name: str) -> None:
        """Closes a link and resets its connections."""
        self._call("DELETE", f"/links/{quote(name, safe='')}")

    def apply(self, rule: Rule) -> AppliedRule:
        """Puts a rule in force until the end of the block, or until `remove`.

        Raises:
            FaultUnsupported: the wire cannot do this.
        """
        at = self.cursor()
        self._call("POST", "/rules", rule.to_json())
        return AppliedRule(self, rule, at)

    def record(self, links: str = "*", *, on: bool = True) -> list[str]:
        """Records every exchange of the links whose name fits the glob, or no longer; their names."""
        return list(self._call("POST", "/recording", {"links": links, "on": on}))

    def cursor(self) -> int:
        """The number of the newest event."""
        return int(self._call("GET", f"/events?after={2**62}")["next"])

    def events(self, after: int = 0, *, wait_s: float = 0.0) -> list[Event]:
        """All events numbered higher than `after`, oldest first; if there are none, waits so long for the first."""
        return list(self.pages(after, wait_s=wait_s))

    def pages(self, after: int = 0, *, wait_s: float = 0.0) -> Iterator[Event]:
        """As `events`, page by page."""
        while True:
            page = self._call("GET", f"/events?after={after}&wait_s={wait_s}", timeout_s=wait_s + _ANSWER_TIMEOUT_S)
            yield from page["events"]
            if not page["events"]:
                return
            after, wait_s = page["next"], 0.0

    def dropped(self) -> int:
        """How many events the wire had no room for."""
        return int(self._call("GET", f"/events?after={2**62}")["dropped"])

    def status(self, rule: str, *, until: str = "", after: int = 0, wait_s: float = 0.0) -> dict[str, Any]:
        """The counters of a rule: `matched`, `fired`, `failed`, `held`, `exhausted`.

        Args:
            until: `held` waits until it holds something, `fired` until it has acted more often than `after`.
        """
        path = f"/rules/{rule}?until={until}&after={after}&wait_s={wait_s}"
        return dict(self._call("GET", path, timeout_s=wait_s + _ANSWER_TIMEOUT_S))

    def release(self, rule: str) -> int:
        """Lets go on what the rule holds; how many messages."""
        return int(self._call("POST", f"/rules/{rule}/release")["released"])

    def remove(self, rule: str) -> dict[str, Any]:
        """Ends a rule; its last counters, and how many messages it still held as `released`."""
        return dict(self._call("DELETE", f"/rules/{rule}"))

    def _call(self, method: str, path: str, body: Any = None, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> Any:
        connection = HTTPConnection(self._host, self._port, timeout=timeout_s)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            with closing(connection):
                connection.connect()
                with suppress(OSError):
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise WireGone(
                f"the wire at {self._host}:{self._port} did not answer {method} {path}: "
                f"{type(error).__name__}: {error}; read the log of its process"
            ) from error
        if response.status >= 400:
            raise _error(answer)
        return answer


class AppliedRule:
    """A rule in force. As a context it is removed at the end, and verified if the block raised nothing.

    Attributes:
        rule: what was applied.
        left_held: how many messages it still held when it was removed; somebody forgot to release them.
    """

    def __init__(self, wire: Wire, rule: Rule, began: int) -> None:
        self.rule = rule
        self.left_held = 0
        self._wire = wire
        self._began = began
        self._last: dict[str, Any] | None = None

    @property
    def fired(self) -> int:
        """How often it has acted."""
        return int(self.status()["fired"])

    @property
    def is_holding(self) -> bool:
        """Whether it holds something now."""
        return bool(self.status()["held"])

    def status(self) -> dict[str, Any]:
        """Its counters; after the end the last ones."""
        return self._last or self._wire.status(self.rule.id)

    def holds_within(self, timeout_s: float) -> bool:
        """Waits so long for it to hold something; whether it does."""
        return self._last is None and bool(self._wire.status(self.rule.id, until="held", wait_s=timeout_s)["held"])

    def wait_until_held(self, timeout_s: float) -> None:
        """Waits until it holds something.

        Raises:
            WaitTimeout: it does not after `timeout_s`.
        """
        self._wait("held", timeout_s)

    def wait_until_fired(self, timeout_s: float, times: int = 1) -> None:
        """Waits until it has acted so often.

        Raises:
            WaitTimeout: it has not after `timeout_s`.
        """
        self._wait("fired", timeout_s, times - 1)

    def release(self) -> int:
        """Lets go on what it holds, and holds what comes next if it has times left; how many messages went on."""
        return self._wire.release(self.rule.id)

    def evidence(self) -> list[Event]:
        """What it did and could not do (`failure`), with time, link, connection, event, fields and first bytes."""
        return [event for event in self._wire.events(self._began) if event.get("rule") == self.rule.id]

    def verify(self) -> None:
        """Checks that a required rule has acted.

        Raises:
            FaultNotObserved: it has not; names what it saw.
        """
        status = self.status()
        if not self.rule.required or status["fired"]:
            return
        failures = [event["failure"] for event in self.evidence() if "failure" in event]
        seen = f"{status['matched']} messages matched" + (f"; it failed: {failures[0]}" if failures else "")
        raise FaultNotObserved(
            f"{self.rule}: never acted ({seen}); check link, event and content, or declare it preventable()"
        )

    def remove(self) -> None:
        """Ends it. What it held goes on, and is counted in `left_held`. Does nothing the second time."""
        if self._last is None:
            self._last = self._wire.remove(self.rule.id)
            self.left_held = int(self._last["released"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()
        if kind is None:
            self.verify()

    def _wait(self, until: str, timeout_s: float, after: int = 0) -> None:
        status = self._wire.status(self.rule.id, until=until, after=after, wait_s=timeout_s)
        if status[until] <= after:
            raise WaitTimeout(
                f"waited {timeout_s:g} s until {self.rule} has {until}; last seen: {status!r}",
                last=status,
                timeout_s=timeout_s,
            )


def _error(answer: Mapping[str, str]) -> Exception:
    kind = FaultUnsupported if answer.get("error") == "FaultUnsupported" else UsageError
    return kind(answer.get("message", "the wire refused, and did not say why"))
