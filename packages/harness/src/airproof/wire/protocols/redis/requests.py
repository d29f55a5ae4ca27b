"""Finds where the commands of a Redis client begin and end.

Only boundaries are looked for: the number of arguments, and the size of each. A command that lies whole in one piece,
and whose beginning was seen before, takes one dictionary look-up and one search per argument. What is split, new or
special takes the longer way, which keeps its place between pieces and never more than a line.
"""

from __future__ import annotations

import re

from airproof.wire.protocols.framing import CRLF, Violation, ends_well
from airproof.wire.protocols.redis.commands import (
    CONTAINERS,
    LONGEST_WORD,
    arguments_of,
    describe,
    event_of,
    inline_arguments,
)
from airproof.wire.protocols.redis.conversation import SPECIAL, Conversation
from airproof.wire.protocols.redis.lines import SIZES, sized_line
from airproof.wire.protocols.side import RequestSide
from airproof.wire.session import Exchange, Segment

LONGEST_INLINE = 64 * 1024
"""Redis refuses longer inline commands."""

_BEGINNING = re.compile(rb"\*[1-9][0-9]{0,5}\r\n\$[1-9][0-9]?\r\n[^\r\n]{1,64}\r\n").match
_KNOWN_MOST = 4096

_WORDS = {**{name.encode(): 2 for name in CONTAINERS}, b"SELECT": 2, b"CLIENT": 3}
"""Commands that are not understood by their first word alone, and how many it takes."""
_segment = tuple.__new__
"""Makes a `Segment` in half the time that its own `__new__` takes, which counts at 3 µs a command."""


class Requests(RequestSide):
    """The client's side of one connection.

    Attributes:
        current: the command under way.
    """

    known: dict[bytes, tuple[str, int, bool]] = {}  # noqa: RUF012 - one for all connections; it only ever says the same

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self.current: Exchange | None = None
        self._conversation = conversation
        self._left = 0
        self._skip = 0

    def is_one(self, data: bytes) -> bool:
        """Whether this piece is one command, whole, that changes nothing of the connection."""
        found = None if self.current or self.rest else self._whole(data, 0)
        return found is not None and found[0] == len(data) and not found[1][2]

    def _whole_commands(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Passes commands that lie whole in this piece; returns where the first other one begins."""
        begin, end, conversation = at, len(data), self._conversation
        while at < end:
            whole_command = self._whole(data, at)
            if whole_command is None:
                return begin
            at, (event, left, is_special) = whole_command
            if is_special or conversation.unusual:
                exchange = conversation.begin(event, left)
            else:
                conversation.number += 1
                exchange = Exchange(conversation.number, event)
                conversation.pending.append(exchange)
            whole = data if begin == 0 and at == end else data[begin:at]
            if watched:
                self._describe(exchange, whole)
            out.append(_segment(Segment, (whole, exchange, True)))
            begin = at
            if conversation.beyond:
                break
        return begin

    def _whole(self, data: bytes, at: int) -> tuple[int, tuple[str, int, bool]] | None:
        """Where the command ends that lies whole in this piece, and what its beginning means; None for any other."""
        end, find = len(data), data.find
        # The sixth byte is the length of a short name; a guess, which nothing known fits if it is wrong.
        after = at + 10 + data[at + 5] - 48 if at + 5 < end else end
        meaning = self.known.get(data[at:after])
        if meaning is None:
            match = _BEGINNING(data, at)
            if match is None or (meaning := self.known.get(match[0])) is None:
                return None
            after = match.end()
        at = after
        for _ in range(meaning[1]):
            stop = find(CRLF, at)
            size = SIZES.get(data[at:stop])
            if size is None or stop < 0:
                return None
            at = stop + size + 4
            if at > end or data[at - 1] != 10 or data[at - 2] != 13:
                return None
        return at, meaning

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Goes on by whole commands, or by one or a part of it; the same place for want of bytes."""
        begin = at
        if self.current is None:
            at = self._whole_commands(data, at, watched, out)
            if at == begin:
                at = self._begin(data, at, watched, out)
        if self.current:
            at = self._walk(data, at)
            self._pass(data[begin:at] if begin or at < len(data) else data, watched, out)
        self.beyond = self._conversation.beyond and self.current is None
        return at

    def _begin(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Opens the next command, or passes one without arguments; returns where its arguments go on."""
        if data[at] != ord("*"):
            return self._inline(data, at, watched, out)
        stop = sized_line(data, at, b"*")
        if stop is None:
            return at
        after, count = stop
        if count < 1:
            out.append(Segment(data[at:after]))
            return after
        words = self._words(data, after, count)
        if words is None:
            return at
        event = event_of(words)
        if len(words) == 1 and words[0].upper() not in _WORDS:
            self._remember(_BEGINNING(data, at), words[0], (event, count - 1, event in SPECIAL))
        self.current = self._conversation.begin(event, count - 1, words)
        self._holding = watched
        self._left = count
        return after

    def _words(self, data: bytes, at: int, count: int) -> list[bytes] | None:
        """The first words of a command, as many as say what it is; None when they are not there yet."""
        words: list[bytes] = []
        wanted = 1
        while len(words) < min(wanted, count):
            line = sized_line(data, at, b"$")
            if line is None:
                return None
            at, size = line
            if not 0 < size <= LONGEST_WORD:
                break
            if len(data) < at + size:
                return None
            words.append(data[at : at + size])
            at += size + 2
            wanted = _WORDS.get(words[0].upper(), 1)
        return words

    def _remember(self, match: re.Match[bytes] | None, name: bytes, meaning: tuple[str, int, bool]) -> None:
        if match and match[0].endswith(CRLF + name + CRLF) and len(self.known) < _KNOWN_MOST:
            self.known[match[0]] = meaning

    def _inline(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        stop = data.find(b"\n", at, at + LONGEST_INLINE)
        if stop < 0:
            if len(data) - at >= LONGEST_INLINE:
                raise Violation
            return at
        line = data[at : stop + 1]
        words = inline_arguments(line)
        if words is None:
            raise Violation
        if not words:
            out.append(Segment(line))
            return stop + 1
        exchange = self._conversation.begin(event_of(words), len(words) - 1, words)
        if watched:
            self._describe(exchange, line)
        out.append(Segment(line, exchange, True))
        return stop + 1

    def _walk(self, data: bytes, at: int) -> int:
        """Goes on in the command under way, to its end or as far as this piece allows."""
        end = len(data)
        while self._left:
            if not self._skip:
                line = sized_line(data, at, b"$")
                if line is None:
                    return at
                at, size = line
                if size < 0:
                    raise Violation
                self._skip = size + 2
            ends_well(data, at, self._skip)
            step = min(self._skip, end - at)
            at += step
            self._skip -= step
            if self._skip:
                return at
            self._left -= 1
        return at

    def _pass(self, piece: bytes, watched: bool, out: list[Segment]) -> None:
        """Passes a part of the command under way, or keeps it back."""
        exchange, last = self.current, not self._left
        if exchange is None or not (piece or last):
            return
        free = self._released(exchange, piece, watched, last) if self._holding else piece
        if free is None:
            return
        out.append(Segment(free, exchange, last))
        if last:
            self.current = None

    def _describe(self, exchange: Exchange, request: bytes) -> None:
        exchange.fields, exchange.content = describe(exchange.event, arguments_of(request))
        exchange.fields["db"] = self._conversation.database
