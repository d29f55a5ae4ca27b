"""The server's side of a connection, message by message."""

from __future__ import annotations

from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.protocols.postgres.messages import HEAD, KEPT_BYTES, LARGEST_MESSAGE_BYTES, PASSING, READ
from airproof.wire.protocols.postgres.tail import Tail
from airproof.wire.protocols.postgres.turn import Turn
from airproof.wire.session import Segment

_STANDS_FOR_COMPLETE = {pg.EMPTY: "EmptyQueryResponse", pg.SUSPENDED: "PortalSuspended"}


class Replies:
    """Cuts what a server sends into replies. No reply is kept: what has arrived of one is passed on at once."""

    __slots__ = ("_conversation", "_rest", "_rest_turn", "_tail")

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._tail = Tail()
        self._rest = 0
        self._rest_turn: Turn | None = None

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a message."""
        return not (self._rest or self._tail.size)

    def receive(self, data: bytes) -> list[Segment]:
        """The segments that this piece completes."""
        if self._tail.size:
            joined = self._tail.join(data)
            if joined is None:
                return []
            data = joined
        out: list[Segment] = []
        at = 0
        if self._rest:
            at = self._go_on(data, out)
        elif self._conversation.negotiations:
            at = self._negotiate(data, out)
        if at < len(data):
            self._walk(data, at, out)
        return out

    def drain(self) -> bytes:
        """All that is kept back."""
        return self._tail.take()

    def _negotiate(self, data: bytes, out: list[Segment]) -> int:
        """Follows the one-byte answers to requests for encryption; where they end."""
        at = 0
        while self._conversation.negotiations and at < len(data):
            answer = data[at : at + 1]
            if answer == b"E":
                self._conversation.negotiations = 0
                return at
            self._conversation.negotiations -= 1
            if answer != b"N":
                self._conversation.surrender()
                out.append(Segment(data[at:]))
                return len(data)
            out.append(Segment(answer))
            at += 1
        return at

    def _walk(self, data: bytes, at: int, out: list[Segment]) -> None:
        """Walks the messages from there on. What is between `start` and `at` is the head turn's, and in no segment."""
        turns = self._conversation.turns
        turn = turns[0] if turns else None
        start, end, needed = at, len(data), pg.HEAD_BYTES
        while end - at >= 5:
            kind, size = HEAD(data, at)
            stop = at + size + 1
            if kind in PASSING and turn and size >= 4:
                if stop > end:
                    self._rest, self._rest_turn = stop - end, turn
                    stop = end
                at = stop
                continue
            if kind not in READ or not 4 <= size <= LARGEST_MESSAGE_BYTES:
                return self._surrender(data, start, out)
            reach = stop if size < KEPT_BYTES else min(stop, at + KEPT_BYTES)
            if reach > end:
                needed = reach - at
                break
            alone = turn is None or (kind == pg.NOTIFICATION and not turn.begun and start == at)
            owner = None if alone else turn
            if owner is None and kind not in pg.ASYNCHRONOUS:
                return self._surrender(data, start, out)
            ended = owner is not None and self._read(owner, kind, data[at + 5 : reach]) and stop <= end
            if self._conversation.opaque and not ended:
                return self._surrender(data, start, out)
            at = stop
            if stop > end:
                self._rest, self._rest_turn, at = stop - end, owner, end
            if ended or owner is None:
                out.append(Segment(data if at - start == end else data[start:at], owner, ended))
                start = at
                turn = turns[0] if turns else None
        if turn and start < at:
            turn.begun = True
            out.append(Segment(data if at - start == end else data[start:at], turn))
        if at < end:
            self._keep(data[at:], needed, out)
        return None

    def _keep(self, data: bytes, needed: int, out: list[Segment]) -> None:
        if self._conversation.opaque:
            out.append(Segment(data))
        else:
            self._tail.keep(data, needed)

    def _read(self, turn: Turn, kind: int, body: bytes) -> bool:
        """Takes a message of a turn's reply in; whether it ends the reply."""
        conversation = self._conversation
        if kind == pg.COMPLETE:
            turn.completed(body[:-1].decode("utf-8", "replace"))
        elif kind == pg.READY:
            status = pg.STATUSES.get(body)
            if status is None or turn is conversation.open:
                conversation.surrender()
                return False
            conversation.ready(turn, status)
            return True
        elif kind == pg.ERROR:
            return self._fail(turn, body)
        elif kind == pg.PARSED:
            turn.parse_completed()
        elif kind in _STANDS_FOR_COMPLETE:
            turn.completed(_STANDS_FOR_COMPLETE[kind])
        elif kind == pg.COPY_IN and len(conversation.turns) == 1:
            conversation.copying, conversation.copy_ends = turn, False
            turn.content += b"\n" if turn.content else b""
        elif kind in {pg.COPY_IN, pg.COPY_BOTH}:
            # A client that sends more than the data of its COPY, and replication, are not followed.
            conversation.surrender()
        return False

    def _fail(self, turn: Turn, body: bytes) -> bool:
        conversation = self._conversation
        severity, sqlstate = pg.severity_and_sqlstate(body)
        turn.failed(f"{severity} {sqlstate}")
        conversation.prepared.restore(turn.take_unparsed())
        if severity in pg.FATAL:
            conversation.turns.popleft()
            turn.answered(turn.before)
            return True
        if turn.mixed:
            # The server now skips the simple query too and waits for a Sync that belongs to a later exchange.
            conversation.surrender()
        elif turn is conversation.copying:
            conversation.copy_ends = True
        return False

    def _go_on(self, data: bytes, out: list[Segment]) -> int:
        """Passes the next piece on of a message whose beginning was; where the next message begins."""
        stop = min(self._rest, len(data))
        self._rest -= stop
        turn = self._rest_turn
        out.append(Segment(data if stop == len(data) else data[:stop], turn))
        return stop

    def _surrender(self, data: bytes, start: int, out: list[Segment]) -> None:
        """What is not PostgreSQL's protocol passes as bytes from here on."""
        self._conversation.surrender()
        out.append(Segment(data[start:]))
