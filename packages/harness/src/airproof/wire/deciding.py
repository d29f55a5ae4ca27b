"""Decides which rules act on a message, and keeps the pieces of a reply that a rule waits for until it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airproof.wire.armed import Armed
from airproof.wire.rules import BYTES, Moment
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender

if TYPE_CHECKING:
    from airproof.wire.connection import Connection

REPEATED = "repeated"
"""The event of the reply to a request that the wire itself has sent a second time."""

Seen = tuple[bytes, Exchange, list[Armed]]
"""What to pass on, what it belongs to, and the rules that act on it."""

_NO_EXCHANGE = Exchange(0, "")


class Decider:
    """Of one direction.

    Attributes:
        latest: the exchange of the newest request, or reply; `previous`, of requests only, is the one before that gets
            a reply.
        gathered: the pieces of a reply that is kept until it is whole, or until the client has to see them.
    """

    def __init__(self, connection: Connection, sender: Sender) -> None:
        self._connection = connection
        self._sender = sender
        self.latest: Exchange | None = None
        self.previous: Exchange | None = None
        self.gathered: list[bytes] = []
        self._gathered_bytes = 0

    def look(self, segment: Segment) -> Seen | None:
        """What to pass on now and the rules that act on it; None while it is kept, or for good."""
        exchange = segment.exchange
        if exchange is None:
            return self._look_at_bytes(self._unfinished() + segment.data)
        if self._sender is Sender.SERVER:
            return self._look_at_reply(segment, exchange)
        if exchange is self.latest:
            return segment.data, exchange, []
        if self.latest is None or self.latest.outcome != "":
            self.previous = self.latest
        self.latest = exchange
        candidates = self._connection.link.rules_for(exchange.event)
        if candidates.rules and (meant := candidates.meant_by(exchange)):
            return segment.data, exchange, self._acting_now(meant, exchange)
        return segment.data, exchange, []

    def _acting_now(self, meant: Sequence[Armed], exchange: Exchange) -> list[Armed]:
        """Those of the rules that act on the request; those that may act on its reply wait for it."""
        connection = self._connection
        if exchange.outcome != "" and exchange.event not in connection.session.told_by_replies:
            after = [one for one in meant if one.rule.moment is Moment.AFTER and not one.exhausted]
            if waiting := [one for one in after if one.matches(exchange, connection.id)]:
                connection.after[exchange.number] = waiting
        return self.acting([one for one in meant if one.rule.moment is Moment.BEFORE], exchange)

    def _look_at_bytes(self, data: bytes) -> Seen:
        candidates = self._connection.link.rules_for(BYTES)
        if not candidates.rules or not data:
            return data, _NO_EXCHANGE, []
        fields: dict[str, str | int] = {"sender": self._sender.name.lower(), "size": len(data)}
        exchange = Exchange(0, BYTES, fields, data)
        return data, exchange, self.acting(candidates.meant_by(exchange), exchange)

    def _look_at_reply(self, segment: Segment, exchange: Exchange) -> Seen | None:
        if exchange.event == REPEATED:
            self._connection.repeats -= segment.last
            return None
        if segment.last and (do := self._connection.replied.pop(exchange.number, None)):
            do()
        after = self._connection.after
        begins, self.latest = exchange is not self.latest, exchange
        if begins and exchange.event in self._connection.session.told_by_replies:
            told = self._connection.link.rules_for(exchange.event).rules
            if rules := [one for one in told if one.rule.moment is Moment.AFTER and not one.exhausted]:
                after[exchange.number] = rules
        rules = after.get(exchange.number, []) if after else []
        if not rules:
            return segment.data, exchange, []
        self.gathered.append(segment.data)
        self._gathered_bytes += len(segment.data)
        if not segment.last and self._connection.session.keeps_waiting(exchange):
            return self._take_gathered(), exchange, []
        if not segment.last and self._gathered_bytes < REQUEST_LIMIT_BYTES:
            return None
        del after[exchange.number]
        data = self._take_gathered()
        if segment.last:
            # Without an outcome, or with an empty one, it never came: the server ended.
            return data, exchange, self.acting(rules, exchange) if exchange.outcome else []
        self._fail(rules, exchange, data, "the reply is too long to be kept")
        return data, exchange, []

    def unwanted(self) -> bytes:
        """What was kept of a reply for which no rule waits any more."""
        if self.gathered and self.latest and self.latest.number not in self._connection.after:
            return self._take_gathered()
        return b""

    def _unfinished(self) -> bytes:
        """What was kept of a reply whose end nobody will recognize, for the connection has turned opaque."""
        if not (self.gathered and self._connection.session.opaque and self.latest):
            return b""
        data = self._take_gathered()
        rules = self._connection.after.pop(self.latest.number, [])
        self._fail(rules, self.latest, data, "the connection turned opaque before the reply was complete")
        return data

    def _take_gathered(self) -> bytes:
        data = b"".join(self.gathered)
        self.gathered.clear()
        self._gathered_bytes = 0
        return data

    def _fail(self, rules: Sequence[Armed], exchange: Exchange, data: bytes, why: str) -> None:
        for armed in rules:
            if armed.counted(exchange, self._connection.id):
                self._connection.prove(armed, exchange, data, failure=why)

    def acting(self, rules: Sequence[Armed], exchange: Exchange) -> list[Armed]:
        """From the first rule that acts on; those behind it are counted when it is their turn."""
        identity = self._connection.id
        for at, armed in enumerate(rules):
            if (
                not (armed.exhausted or armed.over.is_set())
                and armed.matches(exchange, identity)
                and armed.counted(exchange, identity)
            ):
                if armed.rule.action.kind != "observe":
                    return list(rules[at:])
                self._connection.prove(armed, exchange, b"")
        return []
