"""One client's connection through the wire: two streams, two lanes, one session that follows both."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from airproof.wire.armed import Armed
from airproof.wire.effects import senders_cut
from airproof.wire.lane import Ending, Injected, Item, Lane
from airproof.wire.rules import ESTABLISHED
from airproof.wire.session import Exchange, Segment, Sender, Session
from airproof.wire.stream import Stream

if TYPE_CHECKING:
    from airproof.wire.link import Link


log = logging.getLogger("airproof.wire")

CREDENTIALS = frozenset({"AUTH", "HELLO", "SaslAuthenticate", "startup"})
"""Events whose bytes may hold a password that nobody knows by value; evidence shows none of them."""

SHOWN_BYTES = 256
"""So much of a message is kept as evidence."""


class Connection:
    """A connection.

    Attributes:
        id: counted from 1 in the wire process.
        after: the rules that may act on the reply of an exchange, by its number.
        replied: what is to be done when an exchange has been answered, by its number.
        repeats: replies that will come to what the wire itself has sent.
        behind: what fast lanes have passed on and the session has not seen yet, in order.
        closed: whether it is over.
        server_was_well: false when the server's side ended first, as it does when the server dies.
    """

    def __init__(self, link: Link, identity: int, session: Session, client: Stream, server: Stream) -> None:
        self.link = link
        self.id = identity
        self.session = session
        self.loop = asyncio.get_running_loop()
        self.client = client
        self.server = server
        self.after: dict[int, list[Armed]] = {}
        self.replied: dict[int, Callable[[], None]] = {}
        self.repeats = 0
        self.behind: list[tuple[Lane, bytes]] = []
        self.closed = False
        self.server_was_well = True
        self._answers: deque[tuple[int, Item]] = deque()
        self._answered = 0
        self._begun: dict[int, float] = {}
        self._noted: Exchange | None = None
        self._broken_by: list[Armed] = []
        self._lanes = (Lane(self, Sender.CLIENT, client, server), Lane(self, Sender.SERVER, server, client))
        self.retune()
        client.read()
        server.read()

    @property
    def unsettled(self) -> bool:
        """Whether something is still to be done with replies that come."""
        expected = self.after or self.replied or self.repeats or self._answers
        return bool(self.session.rewrites or expected or any(lane.is_busy for lane in self._lanes))

    @property
    def is_answering(self) -> bool:
        """Whether replies of the wire's own wait behind replies of the server."""
        return bool(self._answers)

    def catch_up(self) -> None:
        """Has the session follow what fast lanes have passed on without it."""
        pieces = self.behind[:]
        self.behind.clear()
        try:
            self._look_at(pieces)
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is
            self.fail(error)

    def _look_at(self, pieces: Sequence[tuple[Lane, bytes]]) -> None:
        requests, _ = self._lanes
        request = b""
        for lane, data in pieces:
            if request:
                if lane is not requests and self.session.skim(request, data):
                    request = b""
                    continue
                requests.look_at(request)
                request = b""
            if lane is requests:
                request = data
            else:
                lane.look_at(data)
        if request:
            requests.look_at(request)

    def retune(self) -> None:
        """Follows a change of the link's rules or of its recording."""
        link = self.link
        if link.ruled or link.recording:
            self.catch_up()
        self._forget_removed()
        self.session.watched = link.ruled or link.recording
        for lane in self._lanes:
            lane.noting = link.recording
            if link.ruled:
                lane.slow_down()
            else:
                lane.settle()

    def _forget_removed(self) -> None:
        """Replies for which rules that were removed have waited go on, unless others wait for them too."""
        for number, rules in list(self.after.items()):
            left = [armed for armed in rules if not armed.over.is_set()]
            if left:
                self.after[number] = left
            else:
                del self.after[number]
        self._lanes[Sender.SERVER].let_go()

    def lane_from(self, sender: Sender) -> Lane:
        """The direction that begins there."""
        return self._lanes[sender]

    def answer(self, exchange: Exchange, reply: bytes) -> None:
        """Sends a reply of the wire's own when all earlier requests have been answered."""
        previous = self._lanes[Sender.CLIENT].decider.previous
        if previous is not None and previous.outcome is None and previous.number > self._answered:
            behind = previous.number
        else:
            behind = self._answers[-1][0] if self._answers else 0
        self._answered = exchange.number
        self.after.pop(exchange.number, None)
        self.replied.pop(exchange.number, None)
        items: list[Item] = [Injected(reply)]
        if getattr(self.session, "ended", False):
            items.append(Ending.END)
        for item in items:
            if behind:
                self._answers.append((behind, item))
            else:
                self._lanes[Sender.SERVER].inject(item)
        if self.link.recording:
            self._note_end(exchange, monotonic())

    def answers_behind(self, exchange: Exchange) -> Iterator[Item]:
        """The replies of the wire's own that come after the reply to this exchange."""
        while self._answers and self._answers[0][0] <= exchange.number:
            yield self._answers.popleft()[1]

    def note(self, sender: Sender, segments: Sequence[Segment]) -> None:
        """Records the exchanges that begin and end in these segments."""
        now = monotonic()
        for _, exchange, last in segments:
            if exchange is None:
                continue
            if sender is Sender.SERVER:
                if last:
                    self._note_end(exchange, now)
                continue
            if exchange is not self._noted:
                self._noted = exchange
                self._begun[exchange.number] = now
            if last and exchange.outcome is not None:
                self._note_end(exchange, now)

    def prove(self, armed: Armed, exchange: Exchange, data: bytes, **facts: Any) -> None:
        """Leaves evidence of what a rule did; with `failure`, of what it could not do."""
        rule = armed.rule
        if "failure" in facts:
            armed.take_back(exchange, self.id)
        hidden = exchange.event in CREDENTIALS
        for name, value in facts.items():
            if isinstance(value, bytes):
                facts[name] = b"" if hidden else value[:SHOWN_BYTES]
        self.tell(
            "fault",
            rule=rule.id,
            action=rule.action.kind,
            moment=rule.moment.value,
            exchange=exchange.number,
            transaction=exchange.transaction,
            event=exchange.event,
            fields=exchange.fields,
            outcome=exchange.outcome,
            data=b"" if hidden else data[:SHOWN_BYTES],
            size=len(data),
            **facts,
        )

    def tell(self, kind: str, **facts: Any) -> None:
        """Leaves another event."""
        self.link.journal.happened(kind, self.link.spec.name, self.id, **facts)

    def strike(self, armed: Armed) -> None:
        """Does at once what the rule says to connections, whatever passes or waits here."""
        exchange = Exchange(0, ESTABLISHED)
        if armed.exhausted or not armed.matches(exchange, self.id) or not armed.counted(exchange, self.id):
            return
        self.prove(armed, exchange, b"")
        if armed.rule.action.kind == "reset":
            self.reset()
        elif armed.rule.action.kind == "cut":
            self.broken_by(armed)
            for sender in senders_cut(armed.rule):
                self._lanes[sender].cut(armed)

    def broken_by(self, armed: Armed) -> None:
        """The connection cannot go on once the rule is gone: it is reset then."""
        self._broken_by.append(armed)
        armed.broken[self.id] = self.reset

    def failed(self, sender: Sender) -> None:
        """What that side sends cannot be delivered.

        If the receiver had ended in good order, the sender learns it by a reset. Otherwise the receiver's lane brings
        the reset, behind what it still holds.
        """
        if self._lanes[1 - sender].ended:
            self.reset()

    def give_up(self, why: str) -> None:
        """Resets a connection that its protocol's session can no longer keep on the wire."""
        self.tell("broken", why=why)
        self.reset()

    def fail(self, error: Exception) -> None:
        """Resets a connection that cannot be followed any more because of a defect here. No bytes are told."""
        if self.closed:
            return
        place = extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        log.error("link %s, connection %d: reset, for the wire failed: %s", self.link.spec.name, self.id, why)
        self.give_up(f"the wire failed: {why}")

    def close_if_over(self) -> None:
        """Closes when both directions have ended and everything has left."""
        if all(lane.ended for lane in self._lanes):
            self._close(self.client.finish, self.server.finish, how="closed")

    def reset(self) -> None:
        """Ends both sides with a reset."""
        self._close(self.client.reset, self.server.reset, how="reset")

    def _close(self, *ends: Any, how: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.server_was_well = not (self.server.finished and how == "reset")
        for lane in self._lanes:
            lane.close()
        for end in ends:
            end()
        for armed in self._broken_by:
            armed.broken.pop(self.id, None)
        self.link.forget(self, how)

    def _note_end(self, exchange: Exchange, now: float) -> None:
        begun = self._begun.pop(exchange.number, None)
        if begun is not None:
            self.link.journal.passed(self.link.spec.name, self.id, exchange, begun, now)
