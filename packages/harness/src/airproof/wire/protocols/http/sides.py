"""The two sides of an HTTP connection: requests that begin exchanges, replies that end them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from airproof.wire.protocols.framing import CRLF, Violation
from airproof.wire.protocols.http.bodies import NO_BODY, Body
from airproof.wire.protocols.http.contents import describe
from airproof.wire.protocols.http.heads import reply_head, request_head
from airproof.wire.protocols.side import RequestSide, Side
from airproof.wire.session import Exchange, Segment

_BODILESS = frozenset([b"204", b"304"])
_segment = tuple.__new__
"""Makes a `Segment` in half the time that its own `__new__` takes."""


@dataclass(slots=True, eq=False)
class Request(Exchange):
    """An exchange and what decides how its reply is framed.

    Attributes:
        method: as sent.
        switches: whether the reply may begin another protocol: an upgrade, a tunnel.
        closes: whether the connection ends with the reply.
        sent: whether the request is complete.
    """

    method: bytes = b""
    switches: bool = False
    closes: bool = False
    sent: bool = False


class Requests(RequestSide):
    """The client's side.

    Attributes:
        pending: the exchanges whose replies are to come, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pending: deque[Request] = deque()
        self._number = 0
        self._current: Request | None = None
        self._body = NO_BODY

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Goes on by one request or a part of it; returns where to go on, the same place for want of bytes."""
        begin = at
        if self._current is None:
            if data.startswith(CRLF, at):
                out.append(Segment(CRLF))
                return at + 2
            at = self._begin(data, at, watched)
            if self._current is None:
                return at
        if not self._body.done:
            at = self._body.walk(data, at)
        if at > begin:
            self._pass(data if begin == 0 and at == len(data) else data[begin:at], watched, out)
        return at

    def _begin(self, data: bytes, at: int, watched: bool) -> int:
        head = request_head(data, at)
        if head is None:
            return at
        pending = self.pending
        if pending and pending[-1].method == b"CONNECT":
            raise Violation
        after = at + head.size
        self._body = Body(head.body) if head.body else NO_BODY
        self._number += 1
        request = Request(self._number, "request")
        request.method = head.word
        request.closes = head.closes
        request.switches = head.switches or head.word == b"CONNECT"
        pending.append(request)
        self._current = request
        self._holding = watched
        if watched and head.waits:
            self._describe(request, data[at:after])
            self._holding = False
        return after

    def _pass(self, piece: bytes, watched: bool, out: list[Segment]) -> None:
        request, last = self._current, self._body.done
        if request is None:
            return
        free = self._released(request, piece, watched, last) if self._holding else piece
        if free is None:
            return
        out.append(_segment(Segment, (free, request, last)))
        if last:
            request.sent = True
            self._current = None

    def _describe(self, exchange: Exchange, request: bytes) -> None:
        exchange.fields, exchange.content = describe(request)


class Replies(Side):
    """The server's side.

    Attributes:
        current: the exchange whose reply is under way.
    """

    def __init__(self, pending: deque[Request]) -> None:
        super().__init__()
        self.current: Request | None = None
        self._pending = pending
        self._body = NO_BODY
        self._status = b""

    def finish(self, out: list[Segment]) -> None:
        """Ends a reply that ends with the connection."""
        if self.current and self._body.ends_with_connection:
            out.append(self._complete(b"", self.current))

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:  # noqa: ARG002 - of requests
        """Goes on by one reply or a part of it; returns where to go on, the same place for want of bytes."""
        begin = at
        if self.current is None:
            at = self._begin(data, at)
            if self.current is None:
                if at > begin:
                    out.append(Segment(data if at - begin == len(data) else data[begin:at], self._pending[0]))
                return at
        request = self.current
        if not self._body.done:
            at = self._body.walk(data, at)
        if at == begin:
            return at
        piece = data if begin == 0 and at == len(data) else data[begin:at]
        out.append(self._complete(piece, request) if self._body.done else Segment(piece, request))
        return at

    def _begin(self, data: bytes, at: int) -> int:
        if not self._pending:
            raise Violation
        head = reply_head(data, at)
        if head is None:
            return at
        after, status, length = at + head.size, head.word, head.body
        request = self._pending[0]
        if status == b"101" or (request.method == b"CONNECT" and status.startswith(b"2")):
            if not request.switches:
                raise Violation
            self.beyond, length = True, 0
        elif status.startswith(b"1"):
            return after
        elif request.method == b"HEAD" or status in _BODILESS:
            length = 0
        self._status, self.current = status, request
        self._body = Body(length) if length else NO_BODY
        return after

    def _complete(self, piece: bytes, request: Request) -> Segment:
        self.current = None
        self._pending.popleft()
        request.outcome = self._status.decode()
        return _segment(Segment, (piece, request, True))
