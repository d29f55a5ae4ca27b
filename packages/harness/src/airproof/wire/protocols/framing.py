"""What protocols that announce lengths have in common."""

from __future__ import annotations

CRLF = b"\r\n"


class Violation(Exception):
    """These bytes are not what the protocol says. Never seen outside: it only ends the following of a connection."""


def ends_well(data: bytes, at: int, left: int) -> None:
    """Checks the CRLF behind counted bytes, as far as it is there: `left` are to come from here on, CRLF included.

    Raises:
        Violation: they do not end with CRLF.
    """
    expected = CRLF if left > 1 else b"\n"
    if not expected.startswith(data[at + left - len(expected) : at + left]):
        raise Violation
