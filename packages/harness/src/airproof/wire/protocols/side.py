"""What protocols have in common whose two directions are followed each by itself: HTTP, Redis, SMTP."""

from __future__ import annotations

from abc import ABC, abstractmethod

from airproof.wire.protocols.framing import Kept, Violation
from airproof.wire.session import Segment, Sender, Session


class Side(ABC):
    """One direction of a connection.

    Attributes:
        rest: bytes that no segment holds yet, besides those of a request that is kept back.
        beyond: whether the next byte belongs to another protocol.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.beyond = False
        self._kept = Kept()

    def take(self) -> bytes:
        """Everything kept back, which is forgotten here."""
        taken, self.rest = self._kept.take() + self.rest, b""
        return taken

    def follow(self, data: bytes, watched: bool, out: list[Segment]) -> bytes | None:
        """Appends the segments that this piece completes; gives back what cannot be followed, None if all can."""
        if self.rest:
            data, self.rest = self.rest + data, b""
        at, end = 0, len(data)
        try:
            while at < end:
                after = self._step(data, at, watched, out)
                if after == at:
                    break
                at = after
                if self.beyond:
                    return data[at:]
        except Violation:
            return data[at:]
        self.rest = data[at:]
        return None

    @abstractmethod
    def _step(self, data: bytes, at: int, watched: bool, out: list[Segment]) -> int:
        """Goes on by one message or a part of it; returns where to go on, the same place for want of bytes."""


class SidedSession(Session):
    """A connection with a side for each sender."""

    def __init__(self, requests: Side, replies: Side) -> None:
        super().__init__()
        self._sides = (requests, replies)

    def receive(self, sender: Sender, data: bytes) -> list[Segment]:
        out: list[Segment] = []
        left = data if self.opaque else self._sides[sender].follow(data, self.watched, out)
        if left is not None:
            self.opaque = True
            out += self._rest(sender, left)
        return out

    def finish(self, sender: Sender) -> list[Segment]:
        return self._rest(sender, b"")

    def _rest(self, sender: Sender, data: bytes) -> list[Segment]:
        """What was kept back on that side, and this, as bytes of nobody."""
        data = self._sides[sender].take() + data
        return [Segment(data)] if data else []
