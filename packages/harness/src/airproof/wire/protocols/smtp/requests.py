"""The client's side of an SMTP connection: commands, mails, credentials."""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, auto

from airproof.wire.protocols.framing import CRLF, Violation
from airproof.wire.protocols.side import RequestSide
from airproof.wire.protocols.smtp.mail import describe_command, describe_mail, event_of, path_of, unstuffed
from airproof.wire.session import Exchange, Segment

MESSAGE = "message"
LONGEST_LINE = 16 * 1024
RECIPIENTS_MOST = 1000

_END = b"\r\n.\r\n"
_CHUNK = re.compile(rb"BDAT[ \t]+([0-9]{1,15})(?:[ \t]+(LAST))?[ \t]*\r\n", re.IGNORECASE).fullmatch
_ALONE = frozenset(["AUTH", "STARTTLS"])


class Expects(Enum):
    """What the client sends next."""

    COMMAND = auto()
    CONTENT = auto()
    CHUNK = auto()
    CREDENTIALS = auto()


class Requests(RequestSide):
    """The client's side.

    Attributes:
        pending: the exchanges whose replies are to come, in order.
        current: the exchange whose request is under way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pending: deque[Exchange] = deque()
        self.current: Exchange | None = None
        self._expects = Expects.COMMAND
        self._number = 0
        self._sender = ""
        self._recipients: list[str] = []
        self._line = b""
        self._tail = b""
        self._left = 0

    def answered(self, exchange: Exchange, code: int) -> None:
        """Takes the reply to an exchange, which decides what the client sends next.

        Raises:
            Violation: the client has gone on as if it were another one.
        """
        if exchange is self.current:
            raise Violation
        if exchange.event == "DATA" and code != 354:
            if self.current:
                raise Violation
            self._expects = Expects.COMMAND
        elif exchange.event == "AUTH" and code == 334:
            self._expects = Expects.CREDENTIALS
        elif exchange.event in {"RSET", "EHLO", "HELO"} and code == 250:
            self._sender, self._recipients = "", []
        elif exchange.event == "MAIL" and code < 300:
            self._sender, self._recipients = path_of(exchange.content), []
        elif exchange.event == "RCPT" and code < 300 and len(self._recipients) < RECIPIENTS_MOST:
            self._recipients.append(path_of(exchange.content))

    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Goes on by one request or a part of it; returns where to go on, the same place for want of bytes."""
        if self._expects is Expects.CONTENT:
            if self.current is None:
                self._open(MESSAGE, watched)
                self._tail = CRLF
            after, last = self._content_end(data, at)
        elif self._expects is Expects.CHUNK:
            after = at + min(self._left, len(data) - at)
            self._left -= after - at
            last = not self._left
        else:
            after = self._line_end(data, at)
            if after == at:
                return at
            last = self._begin(data[at:after], watched)
        self._pass(data if at == 0 and after == len(data) else data[at:after], watched, out, last=last)
        return after

    def _line_end(self, data: bytes, at: int) -> int:
        if self.pending and self.pending[-1].event in _ALONE:
            # The client must wait here: what comes may be commands, credentials, or TLS.
            raise Violation
        stop = data.find(b"\n", at, at + LONGEST_LINE)
        if stop < 0:
            if len(data) - at >= LONGEST_LINE:
                raise Violation
            return at
        if stop == at or data[stop - 1] != ord("\r"):
            raise Violation
        return stop + 1

    def _begin(self, line: bytes, watched: bool) -> bool:
        """Opens the exchange of a line; whether the line is all of its request."""
        if self._expects is Expects.CREDENTIALS:
            self._open("AUTH", watched=False)
            self._expects = Expects.COMMAND
            return True
        event = event_of(line)
        chunk = _CHUNK(line) if event == "BDAT" else None
        exchange = self._open(event, watched)
        self._line = line
        if event == "DATA":
            self._expects = Expects.CONTENT
        elif event in {"MAIL", "RCPT"}:
            exchange.content = line
        elif chunk and int(chunk[1]):
            self._left = int(chunk[1])
            self._expects = Expects.CHUNK
            return False
        return True

    def _open(self, event: str, watched: bool) -> Exchange:
        self._number += 1
        self.current = Exchange(self._number, event)
        self.pending.append(self.current)
        self._holding = watched
        return self.current

    def _content_end(self, data: bytes, at: int) -> tuple[int, bool]:
        joined = self._tail + data[at:]
        stop = joined.find(_END)
        if stop >= 0:
            return at + stop + len(_END) - len(self._tail), True
        self._tail = joined[-len(_END) + 1 :]
        return len(data), False

    def _pass(self, piece: bytes, watched: bool, out: list[Segment], *, last: bool) -> None:
        exchange = self.current
        if exchange is None:
            return
        free = self._released(exchange, piece, watched, last) if self._holding else piece
        if free is None:
            return
        out.append(Segment(free, exchange, last))
        if last:
            self.current = None
            if exchange.event in {MESSAGE, "BDAT"}:
                self._expects = Expects.COMMAND

    def _describe(self, exchange: Exchange, request: bytes) -> None:
        if exchange.event == MESSAGE:
            described = describe_mail(unstuffed(request), self._sender, self._recipients)
        elif exchange.event == "BDAT":
            described = describe_mail(request[len(self._line) :], self._sender, self._recipients)
            described[0]["last"] = int(b"LAST" in self._line.upper())
        else:
            described = describe_command(exchange.event, request)
        exchange.fields, exchange.content = described
