"""A message on its way through a lane, while rules act on it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Sender

if TYPE_CHECKING:
    from airproof.wire.connection import Connection
    from airproof.wire.lane import Lane


class Then(IntEnum):
    """What becomes of the lane after the message."""

    GO_ON = 0
    SILENT = 1
    END = 2
    RESET = 3


class Passage:
    """The message.

    Attributes:
        data: what is passed on in the end; rules change it.
        due: until when delays keep it, monotonic seconds; without any, when it came.
        is_gone: whether it will not arrive as it was, or has arrived, so that further rules have nothing to act on.
        passed: what is to be done when it has been passed on.
    """

    def __init__(
        self,
        connection: Connection,
        lane: Lane,
        sender: Sender,
        exchange: Exchange,
        data: bytes,
        arrived: float,
        *,
        complete: bool,
    ) -> None:
        self.connection = connection
        self.lane = lane
        self.sender = sender
        self.exchange = exchange
        self.data = data
        self.due = arrived
        self.then = Then.GO_ON
        self.is_gone = False
        self.passed: list[Callable[[], None]] = []
        self._complete = complete

    async def whole(self) -> bool:
        """Waits for the rest of a request that comes in pieces; whether it is all there and not too long."""
        pieces = [self.data]
        size = len(self.data)
        while not self._complete and size < REQUEST_LIMIT_BYTES:
            segment = await self.lane.next_piece(self.exchange)
            if segment is None:
                break
            pieces.append(segment.data)
            size += len(segment.data)
            self._complete = segment.last
        self.data = b"".join(pieces)
        return self._complete

    async def next_piece(self) -> bytes | None:
        """The next piece of a request that comes in pieces; None after the last."""
        if self._complete:
            return None
        segment = await self.lane.next_piece(self.exchange)
        self._complete = segment is None or segment.last
        return segment.data if segment else None

    def when_passed(self, do: Callable[[], None]) -> None:
        """Has it done when the message has surely arrived: a request when answered, what has no answer when sent."""
        if self.sender is Sender.CLIENT and self.exchange.number and self.exchange.outcome != "":
            self.connection.replied[self.exchange.number] = do
        else:
            self.passed.append(do)

    def lose(self, then: Then) -> None:
        """It never arrives."""
        self.data = b""
        self.is_gone = True
        self.passed.clear()
        self.then = then
