"""What was asked on a Redis connection and is not answered yet, and what decides how many replies will come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from airproof.wire.protocols.redis.commands import SUBSCRIBING
from airproof.wire.session import Exchange

REPEATED = "repeated"

SPECIAL = frozenset(
    ["CLIENT REPLY", "DISCARD", "EXEC", "HELLO", "MONITOR", "MULTI", "PSYNC", "QUIT", "RESET", "SELECT", "SYNC"]
) | frozenset(SUBSCRIBING)
"""Commands that change how the connection goes on."""

_SILENT = frozenset([b"OFF", b"SKIP"])


class Conversation:
    """The commands of one connection in order, from the view of a server that answers them in order.

    Attributes:
        pending: the exchanges whose replies are to come, in order.
        unusual: whether a command may be more than an exchange with one reply: inside MULTI, while replies are off.
        subscriptions: how many channels, patterns (`p`) and shard channels (`s`) the client listens to.
        resp3: whether HELLO switched to RESP3, where messages are a type of their own.
        beyond: whether what follows is no conversation any more.
    """

    def __init__(self) -> None:
        self.pending: deque[Exchange] = deque()
        self.number = 0
        self.unusual = False
        self.subscriptions = {b"": 0, b"p": 0, b"s": 0}
        self.resp3 = False
        self.beyond = False
        self.database = 0
        self.refused: int | None = None
        self.confirmations: dict[Exchange, int] = {}
        self._transactions = 0
        self._opener: Exchange | None = None
        self._openers: set[Exchange] = set()
        self._databases: dict[Exchange, int] = {}
        self._before_multi: dict[int, int] = {}
        self._replies_off = False
        self._skipped = 0

    @property
    def listening(self) -> bool:
        """Whether an array may be a message or a confirmation instead of a reply."""
        if self.resp3:
            return False
        return any(self.subscriptions.values()) or (bool(self.pending) and self.pending[0].event in SUBSCRIBING)

    def begin(self, event: str, arguments: int, words: Sequence[bytes] = ()) -> Exchange:
        """The exchange of the next command.

        Args:
            event: its name.
            arguments: how many follow its name.
            words: its first words, as many as `requests` finds needed for special commands.
        """
        self.number += 1
        exchange = Exchange(self.number, event)
        if self.unusual or event in SPECIAL:
            self._begin_special(exchange, arguments, words)
        else:
            self.pending.append(exchange)
        return exchange

    def answered(self, exchange: Exchange, kind: int, outcome: str) -> None:
        """Takes the complete reply to a special command: the first byte of its type, and how it ended."""
        refused = outcome.startswith("-")
        if exchange.event in {"EXEC", "DISCARD"}:
            before = self._before_multi.pop(exchange.transaction or 0, self.database)
            took_place = exchange.event == "EXEC" and not refused and outcome != "nil"
            if not took_place and not self._databases:
                self.database = before
        if exchange.event == "HELLO" and not refused:
            self.resp3 = kind == ord("%")
        elif exchange.event == "RESET" and not refused:
            self.resp3 = False
            self.subscriptions = dict.fromkeys(self.subscriptions, 0)
        elif exchange.event == "MONITOR" and outcome == "OK":
            self.beyond = True
        elif exchange.event == "SELECT":
            before = self._databases.pop(exchange, self.database)
            self.database = before if refused else self.database
        elif refused:
            self.refuse(exchange)
        self._openers.discard(exchange)
        self.confirmations.pop(exchange, None)

    def confirmed(self, word: bytes, total: int) -> tuple[Exchange | None, bool]:
        """Takes one confirmation of a subscription or its end.

        Args:
            word: how it begins: `psubscribe`.
            total: the subscriptions it says there are now: channels and patterns together, shard channels apart.

        Returns:
            The exchange it belongs to, None for one that the server sends of itself; whether its reply is complete.
        """
        kind = word.removesuffix(b"subscribe").removesuffix(b"un")
        others = sum(self.subscriptions[other] for other in ((b"",) if kind == b"p" else (b"p",) if not kind else ()))
        before, self.subscriptions[kind] = self.subscriptions[kind], max(0, total - others)
        exchange = self.pending[0] if self.pending else None
        if exchange is None or SUBSCRIBING.get(exchange.event) != word:
            return None, False
        left = (self.confirmations.get(exchange, 1) or max(1, before)) - 1
        self.confirmations[exchange] = left
        if left:
            return exchange, False
        del self.confirmations[self.pending.popleft()]
        exchange.outcome = word.decode()
        return exchange, True

    def refuse(self, exchange: Exchange) -> None:
        """Takes it that a command had no effect; after a refused MULTI there is no transaction."""
        if exchange.event == "SELECT":
            self.database = self._databases.pop(exchange, self.database)
        if exchange in self._openers:
            self._openers.remove(exchange)
            self.refused = exchange.transaction
        if exchange is self._opener:
            self._end_transaction()
        self.confirmations.pop(exchange, None)

    def _begin_special(self, exchange: Exchange, arguments: int, words: Sequence[bytes]) -> None:
        event = exchange.event
        if event == "MULTI" and self._opener is None:
            self._transactions += 1
            self._opener = exchange
            self._openers.add(exchange)
            self._before_multi[self._transactions] = self.database
            self.unusual = True
        if self._opener is not None:
            exchange.transaction = self._transactions
            self._inside(exchange)
        if event == "SELECT":
            self._select(exchange, words)
        elif event in {"PSYNC", "SYNC"}:
            self.beyond = True
        elif event == "RESET":
            self._replies_off, self.database = False, 0
            self._before_multi.clear()
        if not self._is_silent(event, words):
            self.pending.append(exchange)
            if event in SUBSCRIBING:
                self.confirmations[exchange] = arguments
        else:
            exchange.outcome = ""

    def _inside(self, exchange: Exchange) -> None:
        if exchange.event in {"EXEC", "DISCARD", "RESET", "QUIT"}:
            self._end_transaction()
        elif exchange.event in SUBSCRIBING or exchange.event == "CLIENT REPLY":
            # What EXEC then answers is not one reply per command any more.
            self.beyond = True

    def _end_transaction(self) -> None:
        self._opener = None
        self.unusual = self._replies_off or self._skipped > 0

    def _select(self, exchange: Exchange, words: Sequence[bytes]) -> None:
        number = b"".join(words[1:2])
        if number.isdigit() and len(number) < 6:
            self._databases[exchange] = self.database
            self.database = int(number)

    def _is_silent(self, event: str, words: Sequence[bytes]) -> bool:
        """Whether this command has no reply; CLIENT REPLY says so for itself, for the next one, or for all."""
        mode = words[2].upper() if event == "CLIENT REPLY" and len(words) == 3 else b""
        if mode == b"ON":
            self._replies_off, self._skipped = False, 0
        silent = self._replies_off or self._skipped > 0 or mode in _SILENT
        self._skipped = max(0, self._skipped - 1)
        if mode == b"OFF":
            self._replies_off = True
        elif mode == b"SKIP" and not self._replies_off:
            self._skipped = 1
        if silent and event in SUBSCRIBING:
            # Confirmations are sent all the same, in RESP3 only as pushes.
            self.beyond = True
        self.unusual = self._opener is not None or self._replies_off or self._skipped > 0
        return silent
