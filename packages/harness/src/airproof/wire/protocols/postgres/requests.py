"""The client's side of a connection, message by message."""

from __future__ import annotations

from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.protocols.postgres.parameters import bound_values
from airproof.wire.protocols.postgres.prepared import UNKNOWN, Prepared
from airproof.wire.protocols.postgres.startup import packet_size, take_packet
from airproof.wire.protocols.postgres.tail import Tail
from airproof.wire.protocols.postgres.turn import Turn
from airproof.wire.session import REQUEST_LIMIT_BYTES, Segment

_ENDED_BY = {pg.SYNC: "sync", pg.QUERY: "query", pg.FUNCTION_CALL: "function_call"}
_NAMING = frozenset(("PREPARE", "EXECUTE", "DEALLOCATE", "DISCARD"))


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

    def receive(self, data: bytes, watched: bool) -> list[Segment]:
        """The segments that this piece completes."""
        if self._tail:
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
            kind, size = pg.HEAD(data, at)
            stop = reach = at + size + 1
            if size < 4 or size > pg.LARGEST_MESSAGE_BYTES or kind not in pg.FROM_CLIENT:
                return self._surrender(data, start)
            if stop > end or size > pg.KEPT_BYTES:
                reach = min(stop, end if kind == pg.COPY_DATA else at + self._limit(at - start))
                if reach > end:
                    needed = reach - at
                    break
            # A Flush behind a Sync, as psycopg sends it, is nobody's: the exchange before is complete.
            if kind in pg.BUILDING and not (kind == pg.FLUSH and (conversation.copying or not conversation.open)):
                self._build(kind, data, at + 5, reach)
                if stop <= end and kind != pg.FLUSH:
                    at = stop
                    continue
                turn, last = conversation.open, False
            elif kind in pg.ENDING and not (kind == pg.SYNC and conversation.copying):
                turn, last = self._end(kind, data, at + 5, reach), True
            else:
                if conversation.open and (start < at or self._held):
                    self._give(conversation.open, data, start, at)
                start = at
                turn, last = self._alone(kind, data, at + 5, reach)
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
            return pg.KEPT_BYTES
        return max(pg.KEPT_BYTES, REQUEST_LIMIT_BYTES - self._held_bytes - before)

    def _open(self, event: str) -> Turn:
        turn = self._conversation.open = self._conversation.begin(event)
        if self._watched:
            turn.words = []
        return turn

    def _build(self, kind: int, data: bytes, at: int, stop: int) -> None:
        """Takes a message of the extended protocol into the open turn."""
        turn = self._conversation.open or self._open("parse")
        if kind == pg.BIND:
            self._bind(turn, data, at, stop)
        elif kind == pg.EXECUTE:
            name = b"" if data[at : at + 1] == b"\0" else data[at : data.find(b"\0", at, stop)]
            self._execute(turn, self._conversation.prepared.portals.get(name, UNKNOWN))
        elif kind == pg.PARSE:
            self._parse(turn, data[at:stop])
        elif kind == pg.CLOSE:
            self._conversation.prepared.close(data, at, stop)
        if kind != pg.FLUSH:
            turn.extended = True

    def _bind(self, turn: Turn, data: bytes, at: int, stop: int) -> None:
        prepared = self._conversation.prepared
        portal_end = at if data[at : at + 1] == b"\0" else data.find(b"\0", at, stop)
        name_end = data.find(b"\0", portal_end + 1, stop)
        bound = prepared.statements.get(data[portal_end + 1 : name_end], UNKNOWN)
        prepared.portals[data[at:portal_end]] = bound
        if turn.words is not None:
            for value in bound_values(data[name_end + 1 : stop], 0, bound.types):
                turn.say(value)

    def _execute(self, turn: Turn, prepared: Prepared) -> None:
        if turn.words is not None:
            turn.say(prepared.text)
        for statement in prepared.statements:
            if statement.fields["verb"] in _NAMING:
                for followed in self._conversation.prepared.follow(statement, prepared.text):
                    turn.execute(followed)
            else:
                turn.execute(statement)

    def _parse(self, turn: Turn, message: bytes) -> None:
        name, _, more = message.partition(b"\0")
        text, _, types = more.partition(b"\0")
        statements = self._conversation.prepared.statements
        prepared, earlier = Prepared(text, types[2:]), statements.get(name)
        statements[name] = prepared
        if turn.parsed is None:
            turn.parsed = []
        turn.parsed.append((name, prepared, earlier))
        turn.say(text)

    def _end(self, kind: int, data: bytes, at: int, stop: int) -> Turn:
        """Takes the message that completes a request."""
        turn = self._conversation.open
        if turn is None:
            turn = self._open(_ENDED_BY[kind])
        elif kind != pg.SYNC:
            turn.mixed = turn.extended
        if kind == pg.QUERY:
            self._execute(turn, Prepared(data[at:stop].partition(b"\0")[0]))
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
        copying = conversation.copying
        if copying is None or kind == pg.PASSWORD:
            return None, False
        if kind == pg.COPY_DATA and self._watched:
            conversation.copied(copying, data[at:stop])
        ends = kind == pg.SYNC and conversation.copy_ends
        if kind in {pg.COPY_DONE, pg.COPY_FAIL}:
            conversation.copy_ends = True
            ends = not copying.extended
        if ends:
            conversation.copying = None
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
            self._conversation.queue(turn)
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
