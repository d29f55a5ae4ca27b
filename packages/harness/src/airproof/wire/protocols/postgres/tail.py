"""Bytes that wait for more: the beginning of a message that cannot be read yet."""

from __future__ import annotations


class Tail:
    """Joined once, when enough is there, so a long message in short pieces costs no more than its length."""

    __slots__ = ("_needed", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._needed = 0

    def __bool__(self) -> bool:
        return self._size > 0

    def keep(self, data: bytes, needed: int) -> None:
        """Keeps the data until that many bytes are there."""
        self._pieces, self._size, self._needed = [data], len(data), needed

    def join(self, data: bytes) -> bytes | None:
        """All of it with this piece; None, and the piece kept too, while that is not enough."""
        self._pieces.append(data)
        self._size += len(data)
        return self.take() if self._size >= self._needed else None

    def take(self) -> bytes:
        """All of it."""
        taken = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return taken
