"""Heads of HTTP messages: where they end, and how the body behind them is framed (RFC 9112).

Strict on purpose. Whatever two parties could read differently (line ends without CR, folded lines, a space before the
colon, two lengths, a length and chunks) is not read at all.
"""

from __future__ import annotations

import re

from airproof.wire.protocols.framing import CRLF, Violation

LONGEST_HEAD = 64 * 1024

CHUNKED = -1
UNTIL_CLOSE = -2

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_FIELD = _TOKEN + rb":[^\r\n\0]*+\r\n"
_REQUEST_LINE = rb"(" + _TOKEN + rb") ([!-~\x80-\xff]++) HTTP/1\.([01])\r\n"
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n\0]*+)?\r\n"

request_head = re.compile(_REQUEST_LINE + rb"(?:" + _FIELD + rb")*\r\n").match
"""The head of a request: method, target and minor version."""
reply_head = re.compile(_STATUS_LINE + rb"(?:" + _FIELD + rb")*\r\n").match
"""The head of a reply: minor version and status."""
field_line = re.compile(_FIELD).fullmatch

_REQUEST_BEGUN = re.compile(
    rb"(?:" + _REQUEST_LINE + rb"(?:" + _FIELD + rb")*(?:" + _TOKEN + rb"(?::[^\r\n\0]*+)?)?\r?"
    rb"|" + _TOKEN + rb"(?: [!-~\x80-\xff]*+(?: [HTP/.01]{0,8}\r?)?)?)"
).fullmatch
_REPLY_BEGUN = re.compile(
    rb"(?:" + _STATUS_LINE + rb"(?:" + _FIELD + rb")*(?:" + _TOKEN + rb"(?::[^\r\n\0]*+)?)?\r?"
    rb"|H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.(?:[01](?: [0-9]{0,3}(?: [^\r\n\0]*+)?\r?)?)?)"
).fullmatch
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|upgrade|expect):[ \t]*+([^\r\n]*+)(?=\r\n)", re.IGNORECASE
).findall


class Framing:
    """What the head of a message says about how the connection goes on.

    Attributes:
        body: how many bytes it has; `CHUNKED`; or `UNTIL_CLOSE`.
        closes: whether the connection ends with this exchange.
        switches: whether it asks for another protocol.
        waits: whether the client waits for `100 Continue` before it sends the body.
    """

    __slots__ = ("body", "closes", "switches", "waits")

    def __init__(self, head: bytes, minor: bytes, otherwise: int) -> None:
        """Reads a head that was found to be one.

        Args:
            minor: the minor version, as a digit.
            otherwise: the body's length when the head does not say.

        Raises:
            Violation: it says two things, or nothing that can be relied on.
        """
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


def may_become(data: bytes, *, reply: bool) -> bool:
    """Whether this can be the beginning of a head that is not all there yet."""
    if len(data) > LONGEST_HEAD or data.endswith(CRLF + CRLF):
        return False
    return bool(_REPLY_BEGUN(data) if reply else _REQUEST_BEGUN(data))


def _coded(coding: bytes, otherwise: int) -> int:
    codings = [one.strip() for one in coding.split(b",")]
    if codings[-1] == b"chunked" and b"chunked" not in codings[:-1]:
        return CHUNKED
    if otherwise != UNTIL_CLOSE or b"chunked" in codings:
        raise Violation
    return UNTIL_CLOSE
