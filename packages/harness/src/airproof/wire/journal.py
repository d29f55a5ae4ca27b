"""What happened on the links of a wire: two bounded rings with one numbering, read with a cursor.

What rules did is evidence and must not be pushed out by what merely passed, so each has its own ring. Events are
written as tuples and become JSON, redacted, only when they are read: many more are written than read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import merge
from itertools import islice
from operator import itemgetter
from time import monotonic
from typing import Any, NamedTuple

from airproof.wire.session import Exchange

PASSED_LIMIT = 20_000
EVIDENCE_LIMIT = 20_000
PAGE = 2_000
SHOWN_BYTES = 64
_tuple = tuple.__new__
"""Makes a `Passed` in half the time that its own `__new__` takes, which counts where everything is recorded."""


class Passed(NamedTuple):
    """A complete exchange, as it was seen."""

    number: int
    link: str
    connection: int
    exchange: int
    event: str
    fields: dict[str, str | int]
    outcome: str
    requested_at: float
    replied_at: float
    transaction: int | None


class Happened(NamedTuple):
    """Anything else: what a rule did, a connection that came or went."""

    number: int
    at: float
    kind: str
    link: str
    connection: int
    facts: dict[str, Any]


class Journal:
    """The events of one wire process.

    Attributes:
        dropped: how many were pushed out before anybody had to read them.
    """

    def __init__(self, passed_limit: int = PASSED_LIMIT, evidence_limit: int = EVIDENCE_LIMIT) -> None:
        self.dropped = 0
        self._number = 0
        self._passed: deque[Passed] = deque(maxlen=passed_limit)
        self._happened: deque[Happened] = deque(maxlen=evidence_limit)
        self._readers: list[asyncio.Future[None]] = []

    def passed(self, link: str, connection: int, exchange: Exchange, requested_at: float, replied_at: float) -> None:
        """Notes a complete exchange; its content is not kept."""
        self._number += 1
        if len(self._passed) == self._passed.maxlen:
            self.dropped += 1
        self._passed.append(
            _tuple(
                Passed,
                (
                    self._number,
                    link,
                    connection,
                    exchange.number,
                    exchange.event,
                    exchange.fields,
                    exchange.outcome or "",
                    requested_at,
                    replied_at,
                    exchange.transaction,
                ),
            )
        )
        if self._readers:
            self._wake()

    def happened(self, kind: str, link: str, connection: int = 0, **facts: Any) -> None:
        """Notes anything else."""
        self._number += 1
        if len(self._happened) == self._happened.maxlen:
            self.dropped += 1
        self._happened.append(Happened(self._number, monotonic(), kind, link, connection, facts))
        if self._readers:
            self._wake()

    async def read(self, after: int, wait_s: float, redact: Callable[[Any], Any]) -> dict[str, Any]:
        """The events numbered higher than `after`, oldest first, at most `PAGE`; waits for the first of them."""
        if self._number <= after and wait_s > 0:
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            with suppress(TimeoutError):
                await asyncio.wait_for(reader, wait_s)
        page = list(islice(self._since(after), PAGE))
        following = page[-1][0] if page else max(after, self._number) if after <= self._number else self._number
        return {
            "events": [redact(_json(event)) for event in page],
            "next": following,
            "dropped": self.dropped,
        }

    def _since(self, after: int) -> Any:
        rings = (_newer(self._passed, after), _newer(self._happened, after))
        return merge(*rings, key=itemgetter(0))

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)


def _newer(ring: deque[Any], after: int) -> list[Any]:
    """The end of the ring, found from its newer end: readers are seldom far behind."""
    newer: list[Any] = []
    for event in reversed(ring):
        if event[0] <= after:
            break
        newer.append(event)
    newer.reverse()
    return newer


def _json(event: Passed | Happened) -> dict[str, Any]:
    if isinstance(event, Passed):
        return {"kind": "exchange", **event._asdict()}
    facts = {name: shown(value) if isinstance(value, bytes) else value for name, value in event.facts.items()}
    return {
        **facts,
        "number": event.number,
        "at": event.at,
        "kind": event.kind,
        "link": event.link,
        "connection": event.connection,
    }


def shown(data: bytes) -> str:
    """The first bytes of a message, readable."""
    text = data[:SHOWN_BYTES].decode("ascii", errors="backslashreplace")
    return text + ("…" if len(data) > SHOWN_BYTES else "")
