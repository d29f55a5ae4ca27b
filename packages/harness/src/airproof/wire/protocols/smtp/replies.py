"""The server's side of an SMTP connection: replies, in the order of the commands."""

from __future__ import annotations

import re

from airproof.wire.protocols.framing import Violation
from airproof.wire.protocols.side import Side
from airproof.wire.protocols.smtp.requests import Requests
from airproof.wire.session import Exchange, Segment

LONGEST_REPLY_LINE = 4096

_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])[^\r\n]*)?\r\n").fullmatch
_REPLY_BEGUN = re.compile(rb"[2-5](?:[0-9](?:[0-9](?:[ -][^\r\n]*)?)?)?\r?").fullmatch


class Replies(Side):
    """The server's side.

    Attributes:
        begun: whether a reply of several lines is under way.
    """

    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests
        self._greeted = False
        self._code = b""

    @property
    def begun(self) -> bool:
        return bool(self._code or self.rest)

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:  # noqa: ARG002 - of requests
        """Goes on by the lines of one reply; returns where to go on, the same place for want of bytes."""
        pending = self._requests.pending
        if self._greeted and not pending:
            raise Violation
        begin = at
        complete = False
        while not complete and (stop := data.find(b"\n", at, at + LONGEST_REPLY_LINE) + 1):
            complete = self._line(data[at:stop])
            at = stop
        left = len(data) - at
        if not complete and left and (left >= LONGEST_REPLY_LINE or not _REPLY_BEGUN(data, at)):
            raise Violation
        if at == begin:
            return at
        piece = data if begin == 0 and at == len(data) else data[begin:at]
        exchange = pending[0] if self._greeted else None
        if complete:
            self._complete(exchange)
        out.append(Segment(piece, exchange, complete and exchange is not None))
        return at

    def _line(self, line: bytes) -> bool:
        """Takes one line of a reply; whether it is the last."""
        match = _REPLY_LINE(line)
        if match is None or (self._code and match[1] != self._code):
            raise Violation
        self._code = match[1]
        return match[2] != b"-"

    def _complete(self, exchange: Exchange | None) -> None:
        code, self._code = int(self._code), b""
        if exchange is None:
            self._greeted = True
            return
        self._requests.answered(exchange, code)
        self._requests.pending.popleft()
        exchange.outcome = str(code)
        self.beyond = exchange.event == "STARTTLS" and code == 220
