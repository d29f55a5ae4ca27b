"""One direction of a connection: passes bytes on, at once or message by message.

Fast, while no rule concerns the link: a piece is written before the session sees it. While nobody records either, the
session sees many pieces together, later: what it learns of them is asked when a rule comes, and then it has caught up.
Slow: the session is asked first, and what it gives back waits in a queue as long as a rule keeps the lane busy. Bytes
that a fast lane has passed on while the session still kept them are not sent again when it turns slow; a slow lane
turns fast when the session keeps nothing that was not sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from airproof.wire.armed import Armed
from airproof.wire.deciding import Decider, Seen
from airproof.wire.effects import apply
from airproof.wire.passage import Passage, Then
from airproof.wire.rules import BYTES
from airproof.wire.session import Exchange, Segment, Sender
from airproof.wire.stream import Stream

if TYPE_CHECKING:
    from airproof.wire.connection import Connection

QUEUE_LIMIT_BYTES = 256 * 1024
"""When so much waits behind a message that a rule keeps, the sender is not read from any more."""

PIECES_BEHIND = 64
PIECE_BYTES = 512
"""A session that nobody asks lags behind by at most so many pieces, each at most so long."""


class Ending(IntEnum):
    """How a direction ends."""

    END = 0
    RESET = 1


class Injected(NamedTuple):
    """A reply of the wire's own."""

    data: bytes


Item = Segment | Injected | Ending


class Lane:
    """One direction.

    Attributes:
        fast: whether pieces are written before they are looked at.
        noting: whether what passes is recorded, as it passes.
        ended: whether the end has been passed on.
        is_busy: whether rules are at work on a message; all that follows waits.
        decider: says which rules act on what has come.
    """

    def __init__(self, connection: Connection, sender: Sender, source: Stream, sink: Stream) -> None:
        self._connection = connection
        self._session = connection.session
        self._behind = connection.behind
        self._sender = sender
        self.source = source
        self.sink = sink
        self.fast = False
        self.noting = False
        self._told_of_loss: Armed | None = None
        self.ended = False
        self.decider = Decider(connection, sender)
        self._inside = 0
        self._ahead = 0
        self._queue: deque[tuple[Item, float]] = deque()
        self._queued = 0
        self.is_busy = False
        self._task: asyncio.Task[None] | None = None
        self._arrived: asyncio.Future[None] | None = None
        source.received = self._follow
        source.ended = self._finish
        source.defect = connection.fail
        sink.drained = self._go_on
        sink.failed = self._sink_failed

    def slow_down(self) -> None:
        """From now on nothing passes that was not looked at."""
        self._connection.catch_up()
        if self.fast:
            self.fast = False
            self.source.received = self._follow
            self._ahead = self._inside

    def settle(self) -> None:
        """Turns fast if nothing is left that has to be looked at first."""
        if not (
            self.fast
            or self._queue
            or self._inside
            or self.decider.gathered
            or self.sink.silent
            or self.sink.shut
            or self.ended
            or self._connection.unsettled
        ):
            self.fast = True
        if self.fast:
            self.source.received = self._pass_and_note if self.noting else self._pass_on

    def let_go(self) -> None:
        """Passes on what was kept of a reply for a rule that is gone. All that waits here came later."""
        self._write([self.decider.unwanted()])

    def cut(self, armed: Armed) -> None:
        """From now on everything vanishes, the end too; the first that does is evidence."""
        self.slow_down()
        self._told_of_loss = armed
        self.sink.cut()

    def inject(self, item: Item) -> None:
        """Puts a reply of the wire's own, or an end, behind what waits."""
        self._queue.append((item, monotonic()))
        self._work()

    def close(self) -> None:
        """Ends what is going on."""
        if self._task and self._task is not asyncio.current_task():
            self._task.cancel()
        self._queue.clear()

    async def next_piece(self, exchange: Exchange) -> Segment | None:
        """The next segment of a request that a rule keeps; None if the direction ends before it comes."""
        while not self._queue:
            self._queued = 0
            self.source.read()
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        item = self._queue[0][0]
        if not isinstance(item, Segment) or item.exchange is not exchange:
            return None
        self._queue.popleft()
        return item

    def _pass_on(self, data: bytes) -> None:
        self.sink.write(data)
        if self.sink.congested:
            self.source.pause()
        self._behind.append((self, data))
        if len(self._behind) > PIECES_BEHIND or len(data) > PIECE_BYTES:
            self._connection.catch_up()

    def _pass_and_note(self, data: bytes) -> None:
        self.sink.write(data)
        if self.sink.congested:
            self.source.pause()
        self.look_at(data)

    def look_at(self, data: bytes) -> None:
        """Has the session follow a piece that was passed on."""
        if self._session.opaque and not self._inside:
            return
        segments = self._session.receive(self._sender, data)
        if len(segments) != 1 or segments[0][0] is not data:
            self._inside += len(data) - sum([len(segment[0]) for segment in segments])
        if segments:
            if self.noting:
                self._connection.note(self._sender, segments)
            self.decider.latest = segments[-1][1] or self.decider.latest

    def _finish(self, reset: bool) -> None:
        now = monotonic()
        self.slow_down()
        if not reset:
            segments = self._session.finish(self._sender)
            self._inside = 0
            self._accept(segments, now)
        self._queue.append((Ending.RESET if reset else Ending.END, now))
        self._work()

    def _follow(self, data: bytes) -> None:
        if self._behind:
            self._connection.catch_up()
        if self._session.opaque and not self._inside:
            segments = [Segment(data)]
        else:
            segments = self._session.receive(self._sender, data)
            if len(segments) != 1 or segments[0][0] is not data:
                self._inside += len(data) - sum([len(segment[0]) for segment in segments])
            if self._session.broken:
                self._connection.give_up(self._session.broken)
                return
        if len(segments) == 1 and self._is_clear:
            self._pass_through(segments[0])
            return
        self._accept(segments, monotonic())
        if self.is_busy:
            self._queued += len(data)
            if self._queued > QUEUE_LIMIT_BYTES:
                self.source.pause()
        self._work()

    @property
    def _is_clear(self) -> bool:
        """Whether what comes can go on as it is, unless a rule keeps it."""
        kept = self.is_busy or self._queue or self._ahead or self.sink.silent or self.sink.shut
        return self._connection.link.ruled and not (kept or self._connection.is_answering)

    def _pass_through(self, segment: Segment) -> None:
        """What a queue does with a segment, without the queue: most pieces are one, and no rule acts on it."""
        if self.noting:
            self._connection.note(self._sender, (segment,))
        seen = self.decider.look(segment)
        if seen is None:
            return
        if seen[2]:
            self._begin(segment, seen, monotonic())
        elif seen[0]:
            self.sink.write(seen[0])
            if self.sink.congested:
                self.source.pause()

    def _accept(self, segments: Sequence[Segment], now: float) -> None:
        if self.noting:
            self._connection.note(self._sender, segments)
        if self._ahead:
            segments = self._without_sent(segments)
        queue = self._queue
        answering = self._sender is Sender.SERVER and self._connection.is_answering
        for segment in segments:
            queue.append((segment, now))
            if answering and segment.last and segment.exchange:
                queue.extend((item, now) for item in self._connection.answers_behind(segment.exchange))

    def _without_sent(self, segments: Sequence[Segment]) -> list[Segment]:
        """The segments without the bytes that were passed on before; a request that has begun is not matched."""
        left: list[Segment] = []
        for segment in segments:
            sent = min(self._ahead, len(segment.data))
            self._ahead -= sent
            if sent and segment.exchange and self._sender is Sender.CLIENT:
                self.decider.latest = segment.exchange
            left.append(segment._replace(data=segment.data[sent:]) if sent else segment)
        return left

    def _work(self) -> None:
        if self._arrived and not self._arrived.done():
            self._arrived.set_result(None)
        if self.is_busy:
            return
        out: list[bytes] = []
        queue = self._queue
        while queue:
            item, arrived = queue.popleft()
            if self.sink.silent:
                self._lose(item)
                continue
            if isinstance(item, Ending):
                self._write([*out, *self.decider.gathered])
                self._end(item)
                return
            if self.sink.shut:
                continue
            if isinstance(item, Injected):
                out.append(item.data)
                continue
            seen = self.decider.look(item)
            if seen is None:
                continue
            if not seen[2]:
                if seen[0]:
                    out.append(seen[0])
                continue
            self._write(out)
            self._begin(item, seen, arrived)
            return
        self._write(out)
        self._go_on()
        if not self._connection.link.ruled:
            self.settle()

    def _begin(self, item: Segment, seen: Seen, arrived: float) -> None:
        """Lets rules act on a message; all that follows waits."""
        data, exchange, rules = seen
        complete = item.last or exchange.event == BYTES
        passage = Passage(self._connection, self, self._sender, exchange, data, arrived, complete=complete)
        self.is_busy = True
        self._task = self._connection.loop.create_task(self._apply(rules, passage))

    def _lose(self, item: Item) -> None:
        armed, self._told_of_loss = self._told_of_loss, None
        if armed and isinstance(item, Segment):
            self._connection.prove(armed, item.exchange or Exchange(0, BYTES), item.data)

    async def _apply(self, rules: Sequence[Armed], passage: Passage) -> None:
        try:
            await self._act(rules, passage)
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is
            self._connection.fail(error)

    async def _act(self, rules: Sequence[Armed], passage: Passage) -> None:
        await apply(rules[0], passage)
        for _, armed in pairwise(rules):
            if passage.is_gone:
                break
            if not self.decider.acting([armed], passage.exchange):
                continue
            await apply(armed, passage)
        if self._connection.closed:
            return
        self._write([passage.data])
        for do in passage.passed:
            do()
        self._task = None
        if passage.then is Then.RESET:
            self._connection.reset()
            return
        if passage.then is Then.END:
            self.sink.end()
        self.sink.silent = self.sink.silent or passage.then is Then.SILENT
        self.is_busy = False
        self._work()

    def _write(self, out: list[bytes]) -> None:
        data = out[0] if len(out) == 1 else b"".join(out)
        if data:
            self.sink.write(data)

    def _go_on(self) -> None:
        if self.sink.congested:
            self.source.pause()
        elif not self.is_busy:
            self._queued = 0
            self.source.read()

    def _end(self, ending: Ending) -> None:
        self.decider.gathered.clear()
        self.ended = True
        if ending is Ending.RESET:
            self._connection.reset()
        else:
            self.sink.end()
            self._connection.close_if_over()

    def _sink_failed(self) -> None:
        self._connection.failed(self._sender)
