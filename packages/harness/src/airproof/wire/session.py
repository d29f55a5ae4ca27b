"""What a protocol tells the wire: which bytes are a request, which its reply, and what a rule may ask about them.

A `Session` follows one connection of one link. It is fed what arrives, in whatever pieces it arrives, and gives back
segments: the same bytes in the same order, each saying to which exchange it belongs. An `Exchange` is a request and
its reply; it is what rules match and what evidence and history name. Sessions do no input and output and know no
rules, no clock and no loop, so a protocol is tested with bytes alone.

Sessions follow always, for rules are added to living connections. What costs (decoding what a request holds, keeping
a whole request before its first byte goes on) is done only while the session is `watched`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, NamedTuple

REQUEST_LIMIT_BYTES = 16 * 1024 * 1024
"""How much of one request a watched session keeps back at most; of a longer one only the beginning can be matched."""


class Sender(IntEnum):
    """Who sent it."""

    CLIENT = 0
    SERVER = 1


@dataclass(slots=True, eq=False)
class Exchange:
    """A request and its reply, as rules see them.

    Attributes:
        number: counted from 1 in its connection.
        event: the protocol's own name of what happens: `request` of HTTP, `query` or `commit` of PostgreSQL,
            `Produce` of Kafka, `SET` of Redis, `RCPT` of SMTP.
        fields: what can be matched by name; each protocol documents its own.
        content: the bytes in which `containing` searches, decoded where the protocol packs or encodes them.
        transaction: counted from 1 in its connection, where the protocol has transactions; None outside.
        outcome: how the reply ended, in the protocol's own words: `200`, `COMMIT`, `ERROR 40001`, `OK`, `550`. None
            until the reply is complete; empty when there is none to come.
    """

    number: int
    event: str
    fields: dict[str, str | int] = field(default_factory=dict)
    content: bytes = b""
    transaction: int | None = None
    outcome: str | None = None


class Segment(NamedTuple):
    """Bytes to pass on, and whose they are.

    Attributes:
        data: never empty, except that the last segment of a reply may be: some end with the connection.
        exchange: None for what is neither request nor reply: a greeting, a notification, opaque bytes.
        last: whether it completes the request (from the client) or the reply (from the server).
    """

    data: bytes
    exchange: Exchange | None = None
    last: bool = False


class Session(ABC):
    """One connection of a link, followed.

    Attributes:
        protocol: the name by which links and rules call it.
        rewrites: whether segments may differ from what was received (addresses in Kafka's replies); the wire then
            passes segments on only, and never a piece before it was looked at.
        told_by_replies: events whose fields and content come with the reply, such as Kafka's Fetch; rules that act on
            the reply are matched then.
        watched: whether somebody asks what is in the exchanges. While it is set, the first segment of a request
            comes with everything that rules may ask filled in, so a request is kept back until it is complete, up to
            `REQUEST_LIMIT_BYTES` and except where a client waits in the middle of one (HTTP's `100 Continue`). While
            it is not set, nothing is kept back that need not be, and `fields` and `content` may be empty.
        opaque: whether the rest of the connection is bytes only: an upgrade, TLS, replication, a protocol error.
        broken: why the connection must end, both ways, instead of turning opaque; None while it may go on. Of
            protocols whose replies would lead a client past the wire. Nothing passes any more.
    """

    protocol: ClassVar[str]
    rewrites: ClassVar[bool] = False
    told_by_replies: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        self.watched = False
        self.opaque = False
        self.broken: str | None = None

    @abstractmethod
    def receive(self, sender: Sender, data: bytes) -> list[Segment]:
        """The segments that this piece completes, in order; the bytes not given yet are kept.

        Any split of the same stream gives the same exchanges in the same order, and the same bytes in all. What the
        protocol does not allow turns the session opaque; nothing is raised, nothing is lost.
        """

    def skim(self, request: bytes, reply: bytes) -> bool:  # noqa: ARG002 - for those that can
        """Follows a request and the reply to it, two pieces, where that is cheaper than to receive them.

        Only while nobody watches. False, and nothing is followed, unless both are whole and leave no more behind than
        the count of exchanges.
        """
        return False

    def keeps_waiting(self, exchange: Exchange) -> bool:  # noqa: ARG002 - for those that can
        """Whether the client may send the rest of this request only when it has seen what has come of the reply."""
        return False

    @abstractmethod
    def finish(self, sender: Sender) -> list[Segment]:
        """What is left when that side has sent its last byte: kept bytes, and the end of a reply that ends so."""

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:  # noqa: ARG002 - for those that can
        """A reply of the wire's own to an exchange that is not passed on; None where this cannot be answered so.

        Args:
            exchange: from this session, its request complete. The session takes its reply as given: what the
                server's next reply answers is the next request.
            answer: the protocol's own fields: `status` and `body`, `sqlstate` and `message`, `error`, `code`.
        """
        return None

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:  # noqa: ARG002 - for those that can
        """The bytes that send this request a second time on this connection; None where it must not be.

        The session then expects one reply more. That reply's segments carry an exchange of their own, whose event is
        `repeated`; the wire passes none of them on.
        """
        return None
