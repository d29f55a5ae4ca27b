"""The client's side of a connection, message by message."""

from __future__ import annotations

from airproof.wire.protocols.postgres import extended
from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.protocols.postgres.messages import (
    BUILDING,
    ENDING,
    FROM_CLIENT,
    HEAD,
    KEPT_BYTES,
    LARGEST_MESSAGE_BYTES,
    SYNC,
)
from airproof.wire.protocols.postgres.prepared import Prepared
from airproof.wire.protocols.postgres.startup import packet_size, take_packet
from airproof.wire.protocols.postgres.tail import Tail
from airproof.wire.protocols.postgres.turn import Turn
from airproof.wire.session import REQUEST_LIMIT_BYTES, Segment

_ENDED_BY = {SYNC: "sync", pg.QUERY: "query", pg.FUNCTION_CALL: "function_call"}


class Requests:
    """Cuts what a client sends into requests."""

    __slots__ = (
        "_conversation",
        "_held",
        "_held_bytes",
        "_out",
        "_rest",
        "_rest_copied",
        "_rest_last",
        "_rest_turn",
        "_started",
        "_tail",
        "_watched",
    )

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._tail = Tail()
        self._out: list[Segment] = []
        self._started = self._watched = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._rest = 0
        self._rest_turn: Turn | None = None
        self._rest_last = self._rest_copied = False

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a message, after the startup."""
        return self._started and not (self._rest or self._tail.size or self._held)

    def receive(self, data: bytes, watched: bool) -> list[Segment]:
        """The segments that this piece completes."""
        if self._tail.size:
            joined = self._tail.join(data)
            if joined is None:
                return []
            data = joined
        out: list[Segment] = []
        self._out, self._watched = out, watched
        at = self._go_on(data) if self._rest else 0
        if not self._started:
            at = self._start(data)
        if at < len(data) and not self._conversation.opaque:
            self._walk(data, at)
        return out

    def drain(self) -> bytes:
        """All that is kept back."""
        kept = b"".join([*self._held, self._tail.take()])
        self._held, self._held_bytes = [], 0
        return kept

    def _start(self, data: bytes) -> int:
        """Takes the packets before the first message; where the messages begin."""
        at, end = 0, len(data)
        while at < end and not self._started:
            size = packet_size(data[at : at + 8])
            if size is None:
                self._surrender(data, at)
                return end
            if end - at < size:
                self._tail.keep(data[at:], size)
                return end
            packet = data if size == end else data[at : at + size]
            segment, self._started = take_packet(packet, self._conversation)
            self._out.append(segment)
            at += size
        return at

    def _walk(self, data: bytes, at: int) -> None:
        """Walks the messages from there on. What is between `start` and `at` is the open turn's, and in no segment."""
        conversation = self._conversation
        start, end, needed = at, len(data), pg.HEAD_BYTES
        while end - at >= 5:
            kind, size = HEAD(data, at)
            stop = reach = at + size + 1
            if size < 4 or size > LARGEST_MESSAGE_BYTES or kind not in FROM_CLIENT:
                return self._surrender(data, start)
            if stop > end or size > KEPT_BYTES:
                reach = min(stop, end if kind == pg.COPY_DATA else at + self._limit(at - start))
                if reach > end:
                    needed = reach - at
                    break
            if kind in BUILDING:
                extended.take(conversation, conversation.open or self._open("parse"), kind, data, at + 5, reach)
                if stop <= end:
                    at = stop
                    continue
                turn, last = conversation.open, False
            elif kind in ENDING and not (kind == SYNC and conversation.copying):
                turn, last = self._end(kind, data, at + 5, reach), True
            else:
                turn, last = self._alone(kind, data, at + 5, reach)
                if turn is not conversation.open and conversation.open and (start < at or self._held):
                    self._give(conversation.open, data, start, at)
                    start = at
            at = stop
            if stop > end:
                self._rest, self._rest_turn, self._rest_last = stop - end, turn, last
                self._rest_copied = kind == pg.COPY_DATA
                at, last = end, False
            self._give(turn, data, start, at, last)
            start = at
        if start < at:
            self._hold(data, start, at)
        if at < end:
            self._tail.keep(data[at:], needed)
        return None

    def _limit(self, before: int) -> int:
        """How much of a message is kept back, of whose request so much came before in this piece."""
        turn = self._conversation.open
        if not self._watched or (turn and turn.queued):
            return KEPT_BYTES
        return max(KEPT_BYTES, REQUEST_LIMIT_BYTES - self._held_bytes - before)

    def _open(self, event: str) -> Turn:
        turn = self._conversation.open = self._conversation.begin(event)
        if self._watched:
            turn.words = {}
        return turn

    def _end(self, kind: int, data: bytes, at: int, stop: int) -> Turn:
        """Takes the message that completes a request."""
        turn = self._conversation.open
        if turn is None:
            turn = self._open(_ENDED_BY[kind])
        elif kind != SYNC:
            turn.mixed = turn.extended
        if kind == pg.QUERY:
            text = data[at:stop].partition(b"\0")[0]
            extended.execute(self._conversation, turn, Prepared(text, watched=turn.words is not None))
        elif kind == pg.FUNCTION_CALL:
            turn.event, turn.commits = "function_call", turn.status == pg.IDLE
        self._conversation.asked(turn)
        if turn.words is not None:
            self._conversation.tell(turn)
        return turn

    def _alone(self, kind: int, data: bytes, at: int, stop: int) -> tuple[Turn | None, bool]:
        """Whose a message is that is in no request's walk, and whether it completes what it belongs to."""
        conversation = self._conversation
        if kind == pg.TERMINATE:
            turn = conversation.begin("terminate")
            turn.outcome, turn.queued = "", True
            return turn, True
        if kind == pg.PASSWORD:
            return next((one for one in conversation.turns if one.event == "startup"), None), False
        copying = conversation.copying
        if copying is None:
            # A Flush sends the open turn on. Behind a Sync, as psycopg sends it, it belongs to nobody.
            return (conversation.open if kind == pg.FLUSH else None), False
        if kind == pg.COPY_DATA and self._watched:
            conversation.copied(copying, data[at:stop])
        ends = kind == SYNC and conversation.copy_ends
        if kind in {pg.COPY_DONE, pg.COPY_FAIL}:
            conversation.copy_ends = True
            ends = not copying.extended
        if ends:
            conversation.copying = None
            if copying is conversation.open:
                conversation.asked(copying)
        return copying, ends

    def _hold(self, data: bytes, start: int, stop: int) -> None:
        """Keeps whole messages of the open turn back while watched."""
        turn = self._conversation.open
        if not self._watched or turn is None or turn.queued:
            return self._give(turn, data, start, stop)
        self._held.append(data[start:stop])
        self._held_bytes += stop - start
        if self._held_bytes > REQUEST_LIMIT_BYTES:
            self._give(turn, b"", 0, 0)
        return None

    def _give(self, turn: Turn | None, data: bytes, start: int, stop: int, last: bool = False) -> None:
        """Makes a segment of these bytes, after those that are held."""
        piece = data if stop - start == len(data) else data[start:stop]
        if self._held:
            piece = b"".join([*self._held, piece])
            self._held, self._held_bytes = [], 0
        if turn and not turn.queued:
            if turn.words is not None and not last and turn is self._conversation.open:
                turn.name_event()
                self._conversation.tell(turn)
            turn.queued = True
            self._conversation.turns.append(turn)
        self._out.append(Segment(piece, turn, last))

    def _go_on(self, data: bytes) -> int:
        """Passes the next piece on of a message whose beginning was; where that ends."""
        stop = min(self._rest, len(data))
        self._rest -= stop
        if self._rest_copied and self._rest_turn and self._watched:
            self._conversation.copied(self._rest_turn, data[:stop])
        self._give(self._rest_turn, data, 0, stop, self._rest_last and not self._rest)
        return stop

    def _surrender(self, data: bytes, start: int) -> None:
        """What is not PostgreSQL's protocol passes as bytes from here on."""
        self._conversation.surrender()
        self._give(None, data, start, len(data))
