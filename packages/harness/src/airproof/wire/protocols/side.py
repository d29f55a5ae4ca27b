"""What protocols have in common whose two directions are followed each by itself: HTTP, Redis, SMTP."""

from __future__ import annotations

from abc import ABC, abstractmethod

from airproof.wire.protocols.framing import Violation
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender, Session


class Side(ABC):
    """One direction of a connection.

    Attributes:
        rest: bytes that came and are not followed yet, for they say nothing without those that come next.
        beyond: whether the next byte belongs to another protocol.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.beyond = False

    def take(self) -> bytes:
        """Everything that no segment holds yet, which is forgotten here."""
        taken, self.rest = self.rest, b""
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


class RequestSide(Side):
    """The client's direction: a request that somebody asks about is kept back until it can be described."""

    def __init__(self) -> None:
        super().__init__()
        self._holding = False
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self) -> bytes:
        return self._take_pieces() + super().take()

    def _released(self, exchange: Exchange, piece: bytes, watched: bool, last: bool) -> bytes | None:
        """What may go on now that this piece has come, and the exchange described; None while all is kept back."""
        if not last or self._pieces:
            self._pieces.append(piece)
            self._size += len(piece)
            if watched and not last and self._size <= REQUEST_LIMIT_BYTES:
                return None
            piece = self._take_pieces()
        self._holding = False
        self._describe(exchange, piece)
        return piece

    def _take_pieces(self) -> bytes:
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @abstractmethod
    def _describe(self, exchange: Exchange, request: bytes) -> None:
        """Fills in what rules may ask; of a request that is too long to be kept, from its beginning."""


class SidedSession(Session):
    """A connection with a side for each sender."""

    def __init__(self, requests: RequestSide, replies: Side) -> None:
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
