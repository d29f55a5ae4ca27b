"""What protocols that announce lengths have in common."""

from __future__ import annotations

CRLF = b"\r\n"


class Violation(Exception):
    """These bytes are not what the protocol says. Never seen outside: it only ends the following of a connection."""


class Kept:
    """Pieces of a request that is not complete.

    Attributes:
        size: how many bytes they have.
    """

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Appends one."""
        self._pieces.append(piece)
        self.size += len(piece)

    def take(self) -> bytes:
        """All of them, which are forgotten here; a single one as it came."""
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.size, self._pieces = 0, []
        return whole


def ends_well(data: bytes, at: int, left: int) -> None:
    """Checks the CRLF behind counted bytes, as far as it is there: `left` are to come from here on, CRLF included.

    Raises:
        Violation: they do not end with CRLF.
    """
    expected = CRLF if left > 1 else b"\n"
    if not expected.startswith(data[at + left - len(expected) : at + left]):
        raise Violation
