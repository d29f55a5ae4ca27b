"""Bytes that wait for more: the beginning of a message that cannot be read yet."""

from __future__ import annotations


class Tail:
    """Joined once, when enough is there, so a long message in short pieces costs no more than its length.

    Attributes:
        size: how many bytes wait.
    """

    __slots__ = ("_needed", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = self._needed = 0

    def keep(self, data: bytes, needed: int) -> None:
        """Keeps the data until that many bytes are there."""
        self._pieces, self.size, self._needed = [data], len(data), needed

    def join(self, data: bytes) -> bytes | None:
        """All of it with this piece; None, and the piece kept too, while that is not enough."""
        self._pieces.append(data)
        self.size += len(data)
        return self.take() if self.size >= self._needed else None

    def take(self) -> bytes:
        """All of it."""
        taken = b"".join(self._pieces)
        self._pieces, self.size = [], 0
        return taken
