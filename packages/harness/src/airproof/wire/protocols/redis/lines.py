"""The lines of RESP that say how much follows."""

from __future__ import annotations

from airproof.wire.protocols.framing import CRLF, Violation

LONGEST_SIZE = 24
"""Bytes of a line that holds a number of bytes or elements, at most."""

SIZES = {b"$%d" % size: size for size in range(1024)}
"""What lines of small bulks say: a look-up takes half the time of reading the number."""


def sized_line(data: bytes, at: int, types: bytes) -> tuple[int, int] | None:
    """Where the line ends that begins here, and the number in it, -1 for null; None when it is not all there.

    Raises:
        Violation: it is of none of these types, or holds no number.
    """
    if at >= len(data):
        return None
    if data[at] not in types:
        raise Violation
    stop = data.find(CRLF, at, at + LONGEST_SIZE)
    if stop < 0:
        if len(data) - at >= LONGEST_SIZE or data.find(b"\n", at) >= 0:
            raise Violation
        return None
    text = data[at + 1 : stop]
    if text.isdigit():
        return stop + 2, int(text)
    if text == b"-1":
        return stop + 2, -1
    raise Violation
