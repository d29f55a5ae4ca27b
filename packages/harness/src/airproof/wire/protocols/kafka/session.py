"""A connection between a Kafka client and a broker, followed frame by frame.

Every frame has its length before it, and replies have the correlation ids of their requests. That is all that is
read of most of what passes; records go through in the pieces in which they arrive. Read and written anew are the few
replies that name brokers, so that a client comes to every broker through its wire, and the one that says which versions
a broker takes, so that a client speaks none that is not followed here. A reply that cannot be made safe is not passed
on: the session is `broken` then, and both sides have to be closed.

Events are the names of the APIs. Fields, as far as a request has them: `api`, `version`, `client_id`; `topic` (the
first) and `topics`; `partition` (the first) and `partitions` (`orders-0,orders-1`); `group`, `member`, `instance`,
`generation`; `transactional_id`; `committed` (`commit` or `abort`, of EndTxn); `acks`; `records` (their number), `key`
(of the first), `keys` (of the first hundred), `compression`. The content of a Produce is its records, unpacked; of any
other request, its body. When a Fetch or a ShareFetch is answered, its fields and content become those of the records in
the reply. The outcome is the first error of the reply, `NONE`, or `UNREAD` of a reply that nobody watched. Transactions
span connections, so they have no numbers.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from airproof.wire.actions import KAFKA_REPEATABLE
from airproof.wire.protocols.kafka.answers import error_reply
from airproof.wire.protocols.kafka.contents import first_error, take_fetched
from airproof.wire.protocols.kafka.errors import error_code, error_name
from airproof.wire.protocols.kafka.primitives import MalformedMessage
from airproof.wire.protocols.kafka.replies import Leak, Route, rewritten
from airproof.wire.protocols.kafka.requests import (
    CORRELATION_AT,
    NO_REPLY,
    Asked,
    Pending,
    after_tags,
    describe,
    read_head,
)
from airproof.wire.protocols.kafka.schema import Message
from airproof.wire.protocols.kafka.topics import LEARNED, TopicNames
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender, Session

REPLY_HEADER = struct.Struct(">ii")
"""Length of what follows it, correlation id."""

REWRITTEN_LIMIT_BYTES = 64 * 1024 * 1024
"""A longer reply with addresses is not believed."""

ANSWERED_LIMIT = 64
"""Of so many requests that the broker has answered, an answer can still be given instead."""

UNREAD = "UNREAD"
REPEATED = "repeated"
FETCHES = ("Fetch", "ShareFetch")
CLUSTER = ("Brokers", "ClusterId", "ControllerId")


@dataclass(slots=True)
class _Frame:
    """A frame that has begun.

    Attributes:
        size: with its length, in bytes.
        keep: so many bytes are kept before the first of them is given.
        read: whether they are looked at then.
    """

    size: int
    keep: int
    read: bool
    pending: Pending


@dataclass(slots=True)
class _Side:
    """What has come from one side: bytes not given yet, and the frame they belong to.

    Attributes:
        frame: None while its beginning is not read.
        left: bytes of the frame that still pass as they come; then nothing is kept.
    """

    kept: bytearray = field(default_factory=bytearray)
    frame: _Frame | None = None
    left: int = 0


class KafkaSession(Session):
    """One client's connection to one broker.

    Args:
        route: the wire's address for the address of a broker, None where there is none; then the session breaks.
        names: learned from Metadata, by default together with all other sessions of this process.
        cluster: the brokers of the last Metadata, as its client saw them; shared by the sessions of a link.
    """

    protocol = "kafka"
    rewrites = True
    told_by_replies = frozenset(FETCHES)

    def __init__(self, *, route: Route, names: TopicNames = LEARNED, cluster: Message | None = None) -> None:
        super().__init__()
        self._route = route
        self._names = names
        self._sides = (_Side(), _Side())
        self._pending: deque[Pending] = deque()
        self._answered: deque[tuple[int, Asked]] = deque(maxlen=ANSWERED_LIMIT)
        self._cluster: Message = {} if cluster is None else cluster
        self._exchanges = 0
        self._repeats = 0

    def receive(self, sender: Sender, data: bytes) -> list[Segment]:
        segments: list[Segment] = []
        if self.broken:
            return segments
        try:
            self._follow(sender, data, segments)
        except Leak as leak:
            self.broken = str(leak)
            self._sides = (_Side(), _Side())
        return segments

    def finish(self, sender: Sender) -> list[Segment]:
        side = self._sides[sender]
        kept, frame = bytes(side.kept), side.frame
        self._sides[sender].kept.clear()
        # The beginning of a reply that had to be rewritten is of no use to a client and may hold an address.
        if not kept or (
            sender is Sender.SERVER and (frame is None or frame.pending.api.rewritten(frame.pending.version))
        ):
            return []
        return [Segment(kept, frame.pending.exchange if frame else None)]

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        """A reply in which everything failed with `error`, a name or a number of Kafka's; also instead of the broker's.

        None for a request that was not watched, a Produce with acks 0, and what has no place for an error.
        """
        pending = next((each for each in self._pending if each.exchange is exchange), None)
        asked = pending or next((each for number, each in self._answered if number == exchange.number), None)
        error = error_code(answer.get("error", ""))
        if asked is None or asked.body is None or error is None:
            return None
        reply = error_reply(asked.api, asked.version, asked.body, error, self._cluster)
        if reply is None:
            return None
        if pending:
            self._pending.remove(pending)
            exchange.outcome = error_name(error)
        header = struct.pack(">i", asked.correlation) + b"\0" * asked.api.reply_is_tagged(asked.version)
        return _framed(header + asked.api.response(asked.version).encode(reply))

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:
        """The same request with a correlation id of the wire's own, to be sent directly behind the first.

        A Produce of an idempotent producer (the default of Java's clients) is recognized by the broker: the repetition
        succeeds and leaves no second record. One of any other producer leaves two.
        """
        if exchange.event not in KAFKA_REPEATABLE:
            return None
        try:
            head = read_head(request)
        except Leak:
            return None
        if head is None or head.size_bytes != len(request):
            return None
        place = next((at for at, each in enumerate(self._pending, 1) if each.exchange is exchange), None)
        if place is None and head.acks != NO_REPLY:
            return None
        self._repeats += 1
        # Clients count from 0 upwards.
        correlation = -1 - self._repeats
        if place is not None:
            repetition = Exchange(exchange.number, REPEATED)
            self._pending.insert(place, Pending(head.api, head.version, correlation, exchange=repetition))
        return request[:CORRELATION_AT] + struct.pack(">i", correlation) + request[CORRELATION_AT + 4 :]

    def _follow(self, sender: Sender, data: bytes, segments: list[Segment]) -> None:
        side = self._sides[sender]
        if side.left:
            data = self._pass(sender, side, data, segments)
        side.kept += data
        while side.kept:
            if side.frame is None:
                side.frame = self._open(sender, side.kept)
            if side.frame is None or len(side.kept) < side.frame.keep:
                return
            piece = bytes(memoryview(side.kept)[: side.frame.size])
            del side.kept[: len(piece)]
            self._begin(sender, side, side.frame, piece, segments)

    def _pass(self, sender: Sender, side: _Side, data: bytes, segments: list[Segment]) -> bytes:
        piece = data if len(data) <= side.left else data[: side.left]
        side.left -= len(piece)
        self._give(sender, side, piece, segments)
        return data[len(piece) :]

    def _begin(self, sender: Sender, side: _Side, frame: _Frame, piece: bytes, segments: list[Segment]) -> None:
        side.left = frame.size - len(piece)
        if frame.read and sender is Sender.CLIENT:
            describe(frame.pending, piece[: frame.keep], self._names)
        elif frame.read:
            piece = self._read_reply(frame.pending, piece)
        self._give(sender, side, piece, segments)

    def _give(self, sender: Sender, side: _Side, piece: bytes, segments: list[Segment]) -> None:
        if side.frame is None:
            raise RuntimeError("a piece without a frame")
        exchange, last = side.frame.pending.exchange, not side.left
        if last:
            side.frame = None
            if sender is Sender.SERVER and exchange.outcome is None:
                exchange.outcome = UNREAD
        segments.append(Segment(piece, exchange, last))

    def _open(self, sender: Sender, kept: bytearray) -> _Frame | None:
        return self._open_request(kept) if sender is Sender.CLIENT else self._open_reply(kept)

    def _open_request(self, kept: bytearray) -> _Frame | None:
        head = read_head(kept)
        if head is None:
            return None
        exchange = self._new_exchange(head.api.name)
        pending = Pending(head.api, head.version, head.correlation, exchange=exchange)
        if head.acks == NO_REPLY:
            exchange.outcome = ""
        else:
            self._pending.append(pending)
        keep = min(head.size_bytes, REQUEST_LIMIT_BYTES) if self.watched else 0
        return _Frame(head.size_bytes, keep, self.watched, pending)

    def _open_reply(self, kept: bytearray) -> _Frame | None:
        if len(kept) < REPLY_HEADER.size:
            return None
        length, correlation = REPLY_HEADER.unpack_from(kept)
        size = length + 4
        pending = self._asked(correlation)
        rewrite = pending.api.rewritten(pending.version)
        if length < 4 or (rewrite and size > REWRITTEN_LIMIT_BYTES):
            raise Leak(f"a reply of {length} bytes to {pending.api.name}: this is not Kafka's protocol")
        read = rewrite or (self.watched and size <= REQUEST_LIMIT_BYTES)
        return _Frame(size, size if read else 0, read, pending)

    def _asked(self, correlation: int) -> Pending:
        # Requests before it that a rule has lost are never answered.
        while self._pending:
            pending = self._pending.popleft()
            if pending.correlation == correlation:
                # Without the exchange, whose content may be long.
                asked = Asked(pending.api, pending.version, correlation, pending.body)
                self._answered.append((pending.exchange.number, asked))
                return pending
        raise Leak(f"a reply to request {correlation}, which nobody has sent")

    def _read_reply(self, pending: Pending, frame: bytes) -> bytes:
        api, version, exchange = pending.api, pending.version, pending.exchange
        try:
            at = after_tags(frame, REPLY_HEADER.size) if api.reply_is_tagged(version) else REPLY_HEADER.size
            if api.rewritten(version):
                body, message = rewritten(api, version, frame[at:], self._route)
                frame = _framed(frame[4:at] + body)
            else:
                message = api.response(version).decode(frame, at)
        except (IndexError, MalformedMessage) as error:
            if api.rewritten(version):
                raise Leak(f"a reply to {api.name} {version} is not as Kafka has it: {error}") from error
            return frame
        self._learn(api.name, message)
        exchange.outcome = first_error(message)
        if self.watched and api.name in FETCHES:
            take_fetched(message, exchange, self._names)
        return frame

    def _learn(self, name: str, reply: Message) -> None:
        if name in {"Metadata", "CreateTopics", "DescribeTopicPartitions"}:
            self._names.learn(reply["Topics"])
        if name == "Metadata":
            self._cluster.update((part, reply[part]) for part in CLUSTER if part in reply)

    def _new_exchange(self, event: str) -> Exchange:
        self._exchanges += 1
        return Exchange(self._exchanges, event)


def _framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content
