"""Heads of HTTP messages: where they end, and how the body behind them is framed (RFC 9112).

Strict on purpose. Whatever two parties could read differently (line ends without CR, folded lines, a space before the
colon, two lengths, a length and chunks) is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from airproof.wire.protocols.framing import CRLF, Violation

LONGEST_HEAD = 64 * 1024

_END = CRLF + CRLF
_Expression = Callable[..., re.Match[bytes] | None]
CHUNKED = -1
UNTIL_CLOSE = -2

LONGEST_KNOWN = 1024
KNOWN_MOST = 256

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_FIELD = _TOKEN + rb":[^\r\n\0]*+\r\n"
_REQUEST_LINE = rb"(?P<word>" + _TOKEN + rb") [!-~\x80-\xff]++ HTTP/1\.(?P<minor>[01])\r\n"
_STATUS_LINE = rb"HTTP/1\.(?P<minor>[01]) (?P<word>[1-9][0-9][0-9])(?: [^\r\n\0]*+)?\r\n"

field_line = re.compile(_FIELD).fullmatch

_REQUEST_HEAD = re.compile(_REQUEST_LINE + rb"(?:" + _FIELD + rb")*\r\n").match
_REPLY_HEAD = re.compile(_STATUS_LINE + rb"(?:" + _FIELD + rb")*\r\n").match
_REQUEST_BEGUN = re.compile(
    rb"(?:" + _REQUEST_LINE + rb"(?:" + _FIELD + rb")*(?:" + _TOKEN + rb"(?::[^\r\n\0]*+)?)?\r?"
    rb"|" + _TOKEN + rb"(?: [!-~\x80-\xff]*+(?: [HTP/.01]{0,8}\r?)?)?|\r)"
).fullmatch
_REPLY_BEGUN = re.compile(
    rb"(?:" + _STATUS_LINE + rb"(?:" + _FIELD + rb")*(?:" + _TOKEN + rb"(?::[^\r\n\0]*+)?)?\r?"
    rb"|H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.(?:[01](?: [0-9]{0,3}(?: [^\r\n\0]*+)?\r?)?)?)"
).fullmatch
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|upgrade|expect):[ \t]*+([^\r\n]*+)(?=\r\n)", re.IGNORECASE
).findall


class Head:
    """What the head of a message says about how the connection goes on.

    Attributes:
        size: how many bytes the head itself has.
        word: the method of a request, the status of a reply.
        body: how many bytes it has; `CHUNKED`; or `UNTIL_CLOSE`.
        closes: whether the connection ends with this exchange.
        switches: whether it asks for another protocol.
        waits: whether the client waits for `100 Continue` before it sends the body.
    """

    __slots__ = ("body", "closes", "size", "switches", "waits", "word")

    def __init__(self, found: re.Match[bytes], otherwise: int) -> None:
        """Reads a head that was found to be one.

        Args:
            otherwise: the body's length when the head does not say.

        Raises:
            Violation: it says two things, or nothing that can be relied on.
        """
        head, minor = found[0], found["minor"]
        self.size = len(head)
        self.word = found["word"]
        self.body = otherwise
        self.closes = minor == b"0"
        self.switches = self.waits = False
        length = coding = None
        for name, value in _FRAMING(head):
            match name.lower():
                case b"content-length":
                    if length is not None:
                        raise Violation
                    length = value.rstrip()
                case b"transfer-encoding":
                    if coding is not None or minor == b"0":
                        raise Violation
                    coding = value.lower()
                case b"connection":
                    self._connection(value.lower())
                case b"upgrade":
                    self.switches = True
                case _:
                    self.waits = value.strip().lower() == b"100-continue" and minor == b"1"
        if coding is not None:
            if length is not None:
                raise Violation
            self.body = _coded(coding, otherwise)
        elif length is not None:
            if not length.isdigit() or len(length) > 18:
                raise Violation
            self.body = int(length)

    def _connection(self, value: bytes) -> None:
        if b"close" in value:
            self.closes = True
        elif b"keep-alive" in value:
            self.closes = False


_requests: dict[bytes, Head] = {}
_replies: dict[bytes, Head] = {}
"""Heads that were read before: pollers, health checks and pools send the same ones again and again."""


def request_head(data: bytes, at: int) -> Head | None:
    """The head of the request that begins here; None when it is not all there yet.

    Raises:
        Violation: it is none, or it leaves open where the request ends.
    """
    stop = data.find(_END, at) + 4
    return _requests.get(data[at:stop]) or _read(data, at, _REQUEST_HEAD, _REQUEST_BEGUN, 0, _requests)


def reply_head(data: bytes, at: int) -> Head | None:
    """The head of the reply that begins here; None when it is not all there yet.

    Raises:
        Violation: it is none, or it leaves open where the reply ends.
    """
    stop = data.find(_END, at) + 4
    return _replies.get(data[at:stop]) or _read(data, at, _REPLY_HEAD, _REPLY_BEGUN, UNTIL_CLOSE, _replies)


def _read(
    data: bytes, at: int, whole: _Expression, begun: _Expression, otherwise: int, known: dict[bytes, Head]
) -> Head | None:
    match = whole(data, at)
    if match is None:
        rest = data[at:]
        if len(rest) > LONGEST_HEAD or rest.endswith(_END) or not begun(rest):
            raise Violation
        return None
    head = Head(match, otherwise)
    if head.size > LONGEST_HEAD:
        raise Violation
    if head.size <= LONGEST_KNOWN:
        if len(known) >= KNOWN_MOST:
            known.clear()
        known[match[0]] = head
    return head


def _coded(coding: bytes, otherwise: int) -> int:
    codings = [one.strip() for one in coding.split(b",")]
    if codings[-1] == b"chunked" and b"chunked" not in codings[:-1]:
        return CHUNKED
    if otherwise != UNTIL_CLOSE or b"chunked" in codings:
        raise Violation
    return UNTIL_CLOSE
