"""Finds where the replies of a Redis server begin and end, in RESP2 and RESP3, and tells messages from replies.

A reply is one element, or an aggregate that announces how many elements follow, each of which may be an aggregate. So
one number is enough to follow it: how many elements are still to come. Nothing is collected, except one line, and the
confirmation of a subscription, which says how many there are.

In RESP3 messages have a type of their own (push) and stand between replies. In RESP2 they look like replies; there a
connection that subscribes gets arrays that begin with a word for what they are.
"""

from __future__ import annotations

from airproof.wire.protocols.framing import CRLF, Violation, ends_well
from airproof.wire.protocols.redis.commands import SUBSCRIBING
from airproof.wire.protocols.redis.conversation import SPECIAL, Conversation
from airproof.wire.protocols.redis.lines import SIZES, sized_line
from airproof.wire.protocols.redis.reading import (
    AGGREGATES,
    BULKS,
    LINES,
    LONGEST_LINE,
    confirmation,
    first_word,
    line_end,
    outcome_of,
    word_of,
)
from airproof.wire.protocols.side import Side
from airproof.wire.session import Exchange, Segment

LONGEST_CONFIRMATION = 1024 * 1024

_PUSH, _ARRAY, _ATTRIBUTE, _MAP, _INT = b">*|%:"
_PLAIN = b"+-:"
_OF_LINE = {b"+OK": "OK", b"+QUEUED": "QUEUED", b"$-1": "nil", b":0": "int", b":1": "int"}
"""How the replies end that are most often seen."""
_CONFIRMATIONS = frozenset(SUBSCRIBING.values())
_MESSAGES = frozenset([b"message", b"pmessage", b"smessage"])
_segment = tuple.__new__


class Replies(Side):
    """The server's side of one connection."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation
        self._exchange: Exchange | None = None
        self._left = 0
        self._skip = 0
        self._kind = 0
        self._outcome = ""

    @property
    def between(self) -> bool:
        """Whether neither a reply nor a message is under way."""
        return not (self._left or self.rest)

    def is_one(self, data: bytes) -> bool:
        """Whether this piece is one reply of one element, whole."""
        stop = data.find(CRLF, 0, LONGEST_LINE)
        if not self.between or stop < 0:
            return False
        size = SIZES.get(data[:stop])
        if size is None:
            return data[0] in _PLAIN and stop + 2 == len(data)
        return stop + size + 4 == len(data) and data[-2:] == CRLF

    def answers(self, exchange: Exchange) -> bool:
        """Whether the reply to this exchange is under way."""
        return self._left > 0 and self._exchange is exchange

    def _whole_replies(self, data: bytes, at: int, out: list[Segment]) -> int:
        """Passes replies of one element that lie whole in this piece; returns where the first other one begins."""
        begin, end, find, pending = at, len(data), data.find, self._conversation.pending
        while at < end and pending:
            exchange = pending[0]
            if (stop := find(CRLF, at, at + LONGEST_LINE)) < 0 or exchange.event in SPECIAL:
                break
            line = data[at:stop]
            if (size := SIZES.get(line)) is not None:
                outcome, at = "bulk", stop + size + 4
                if at > end or data[at - 1] != 10 or data[at - 2] != 13:
                    break
            elif (known := _OF_LINE.get(line)) is not None:
                outcome, at = known, stop + 2
            elif data[at] in _PLAIN:
                outcome, at = "int" if data[at] == _INT else word_of(line), stop + 2
            else:
                break
            exchange.outcome = outcome
            pending.popleft()
            out.append(_segment(Segment, (data if begin == 0 and at == end else data[begin:at], exchange, True)))
            begin = at
        return begin

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:  # noqa: ARG002 - of requests
        """Goes on by whole replies, or by one reply or message or a part of it; the same place for want of bytes."""
        begin = at
        if not self._left:
            at = self._whole_replies(data, at, out)
            if at > begin:
                return at
            after = self._begin(data, at, out)
            if after is None:
                return at
            at = after
            if not self._kind:
                return at
        at = self._walk(data, at)
        last = not self._left and self._exchange is not None and self._kind != _ATTRIBUTE
        if last and self._exchange:
            self._complete(self._exchange)
        if at > begin:
            piece = data if begin == 0 and at == len(data) else data[begin:at]
            out.append(Segment(piece, self._exchange, last))
        self.beyond = self._conversation.beyond
        return at

    def _begin(self, data: bytes, at: int, out: list[Segment]) -> int | None:
        """Opens the next reply or message, or passes a whole confirmation; returns where to walk on, None to wait."""
        self._kind = kind = data[at]
        conversation = self._conversation
        if kind == _PUSH or (kind == _ARRAY and conversation.listening):
            word = first_word(data, at)
            if word is None:
                return None
            if word in _CONFIRMATIONS:
                return self._confirm(data, at, word, out)
            if kind == _PUSH or word in _MESSAGES:
                return self._message(data, at)
        if not conversation.pending:
            raise Violation
        outcome = outcome_of(data, at)
        if outcome is None:
            return None
        self._exchange, self._outcome = conversation.pending[0], outcome
        if kind != _ATTRIBUTE:
            self._left = 1
            return at
        line = sized_line(data, at, b"|")
        if line is None:
            return None
        self._left = 2 * line[1]
        return line[0]

    def _message(self, data: bytes, at: int) -> int | None:
        line = sized_line(data, at, b">*")
        if line is None:
            return None
        self._exchange, self._left = None, line[1]
        return line[0]

    def _confirm(self, data: bytes, at: int, word: bytes, out: list[Segment]) -> int | None:
        found = confirmation(data, at)
        if found is None:
            if len(data) - at > LONGEST_CONFIRMATION:
                raise Violation
            return None
        after, total = found
        exchange, last = self._conversation.confirmed(word, total)
        out.append(Segment(data[at:after], exchange, last))
        self._kind = 0
        return after

    def _walk(self, data: bytes, at: int) -> int:
        """Goes on in the reply under way, to its end or as far as this piece allows."""
        end = len(data)
        while self._left and at < end:
            if self._skip:
                ends_well(data, at, self._skip)
                step = min(self._skip, end - at)
                at += step
                self._skip -= step
                self._left -= not self._skip
                continue
            kind = data[at]
            if kind in LINES:
                stop = line_end(data, at)
                if stop is None:
                    return at
                at = stop
                self._left -= 1
                continue
            line = sized_line(data, at, BULKS + AGGREGATES)
            if line is None:
                return at
            at, size = line
            self._open(kind, size)
        return at

    def _open(self, kind: int, size: int) -> None:
        """Takes the beginning of a bulk or an aggregate."""
        if kind in BULKS and size >= 0:
            self._skip = size + 2
            return
        elements = max(0, size) * (2 if kind in {_MAP, _ATTRIBUTE} else 1)
        self._left += elements - (kind != _ATTRIBUTE)

    def _complete(self, exchange: Exchange) -> None:
        self._conversation.pending.popleft()
        exchange.outcome = self._outcome
        if exchange.event in SPECIAL:
            self._conversation.answered(exchange, self._kind, self._outcome)
