"""HTTP/1.1 and 1.0: requests and their replies."""

from __future__ import annotations

from collections.abc import Mapping

from airproof.wire.protocols.http.contents import answer_to
from airproof.wire.protocols.http.sides import Replies, Request, Requests
from airproof.wire.protocols.side import SidedSession
from airproof.wire.session import Exchange, Segment, Sender

REPEATED = "repeated"


class HttpSession(SidedSession):
    """An HTTP connection, followed request by request, with keep-alive and pipelining.

    The event is `request`. Fields: `method`, `path`, `query`, `host`, and every header as `header.<name>` in lower case
    (several of one name joined by a comma; what may be a secret is redacted). Content: the target and the body, each on
    its own line; the body without chunks, and decompressed where it says gzip or deflate; of a target with escapes also
    what they mean. Outcome: the status, `200`. Interim replies (`100`, `103`) pass as the beginning of the reply.

    A watched request is kept back until it is complete; with `Expect: 100-continue` its head goes first, and the
    content is the target alone.

    The connection turns opaque with `101`, a tunnel, and whatever two parties could read differently: two lengths, a
    length and chunks, lines without CR, folded lines, a reply to nothing.
    """

    protocol = "http"

    def __init__(self) -> None:
        self._requests = Requests()
        self._replies = Replies(self._requests.pending)
        super().__init__(self._requests, self._replies)

    def finish(self, sender: Sender) -> list[Segment]:
        out = self._rest(sender, b"")
        if sender is Sender.SERVER and not self.opaque:
            self._replies.finish(out)
        return out

    def keeps_waiting(self, exchange: Exchange) -> bool:
        """Whether an interim reply, `100 Continue`, has come before the request was complete."""
        return isinstance(exchange, Request) and not exchange.sent and self._replies.current is not exchange

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        """A reply of the wire's own.

        Args:
            exchange: one without a reply yet, or one whose reply is not passed on.
            answer: `status`, `body`, `content_type`; all else are headers, `retry_after` is `Retry-After`.

        Returns:
            None for upgrades and tunnels, for an incomplete request, and for an interim status.
        """
        if not isinstance(exchange, Request) or exchange.switches or not exchange.sent:
            return None
        reply = answer_to(exchange.method, answer, closes=exchange.closes)
        if reply is None or exchange.outcome is not None or self._replies.current is exchange:
            return reply
        if self.opaque or exchange not in self._requests.pending:
            return None
        self._requests.pending.remove(exchange)
        exchange.outcome = reply[9:12].decode()
        return reply

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:
        """The same request again, behind the first.

        None for upgrades and tunnels, where the connection ends with the first reply (`Connection: close`, HTTP/1.0),
        and where later requests may already be on their way.
        """
        pending = self._requests.pending
        if (
            self.opaque
            or not isinstance(exchange, Request)
            or exchange.switches
            or exchange.closes
            or not exchange.sent
            or exchange.event == REPEATED
        ):
            return None
        again = Request(exchange.number, REPEATED, method=exchange.method, sent=True)
        if exchange in pending:
            pending.insert(pending.index(exchange) + 1, again)
        elif not pending:
            pending.append(again)
        else:
            return None
        return request
