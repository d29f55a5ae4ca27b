"""What both directions of a connection share: the exchanges under way, the transaction, and what is prepared."""

from __future__ import annotations

from collections import deque
from typing import Final

from airproof.wire.protocols.postgres.messages import FAILED, IDLE, IN_TRANSACTION, KEPT_BYTES
from airproof.wire.protocols.postgres.prepared import Prepared, PreparedStatements
from airproof.wire.protocols.postgres.statements import Effect
from airproof.wire.protocols.postgres.turn import Turn
from airproof.wire.session import REQUEST_LIMIT_BYTES

REPEATED = "repeated"
_GOES_ON: Final = {
    IDLE: frozenset({Effect.NONE}),
    IN_TRANSACTION: frozenset({Effect.NONE, Effect.CHANGES}),
    FAILED: frozenset[Effect](),
}
"""The effects that leave a transaction, or its absence, as it was."""


class Conversation:
    """The state of one connection.

    Attributes:
        turns: the exchanges of which a part was passed on and that are not answered, oldest first.
        open: the exchange whose request is not complete.
        copying: the exchange whose COPY … FROM STDIN the server waits for.
        copy_ends: whether the next Sync completes its request; the server ignores those before.
        negotiations: answers of one byte that the server owes to requests for encryption.
        opaque: whether the rest is bytes only.
        replication: whether it will be when the startup is through.
        identity: `user` and `database`, once known.
    """

    __slots__ = (
        "_number",
        "_said",
        "_said_bytes",
        "_said_in",
        "_status",
        "_transaction",
        "_transactions",
        "copy_ends",
        "copying",
        "identity",
        "negotiations",
        "opaque",
        "open",
        "prepared",
        "replication",
        "turns",
    )

    def __init__(self) -> None:
        self.turns: deque[Turn] = deque()
        self.open: Turn | None = None
        self.copying: Turn | None = None
        self.copy_ends = False
        self.negotiations = 0
        self.opaque = self.replication = False
        self.identity: dict[str, str | int] = {}
        self.prepared = PreparedStatements()
        self._number = self._transactions = 0
        self._transaction: int | None = None
        self._said: list[bytes | bytearray] = []
        self._said_bytes = 0
        self._said_in: int | None = None
        self._status = IDLE

    def begin(self, event: str) -> Turn:
        """A new exchange."""
        self._number += 1
        return Turn(self._number, event, self._status)

    def queue(self, turn: Turn) -> None:
        """Its first part is passed on, so the server will answer it after all that came before."""
        turn.queued = True
        self.turns.append(turn)

    def goes_on(self, executed: Prepared, status: str) -> bool:
        """Whether an exchange that executes this, and ends in that status, leaves all as it was; counts it then."""
        if status != self._status or self.turns or self.open or self.copying:
            return False
        if executed.effects is None or not executed.effects <= _GOES_ON[status]:
            return False
        self._number += 1
        if status != IDLE:
            self.prepared.portals[b""] = executed
        return True

    def asked(self, turn: Turn) -> None:
        """Its request is complete."""
        self.open = None
        turn.name_event()
        if turn.before == IDLE:
            if not turn.commits and turn.status == IDLE:
                return
            self._next_transaction()
        turn.transaction = self._transaction
        self._status = turn.status
        if turn.status == IDLE:
            self._transaction = None
        elif turn.ended:
            self._next_transaction()

    def _next_transaction(self) -> None:
        self._transactions += 1
        self._transaction = self._transactions

    def tell(self, turn: Turn) -> None:
        """Fills in what rules may ask."""
        fields: dict[str, str | int] = dict(self.identity)
        if turn.heaviest:
            fields |= turn.heaviest.fields
        fields["statements"] = turn.statements
        fields["status"] = turn.before
        if turn.commits:
            fields["commit_point"] = 1
        turn.fields = fields
        turn.content = self._content(turn)

    def _content(self, turn: Turn) -> bytes:
        """What it says; of what may commit, also what was said before in its transaction, as far as it was watched.

        A transaction's words are kept until its end, `REQUEST_LIMIT_BYTES` of them at most: that much memory a watched
        connection may take while one is open. What is said beyond that is in the content of its own exchange only.
        """
        own = b"\n".join(turn.words or ())
        if turn.transaction is None:
            return own
        if turn.transaction != self._said_in:
            self._forget_said()
            self._said_in = turn.transaction
        content = b"\n".join([*self._said, own]) if turn.commits else own
        if own and (room := REQUEST_LIMIT_BYTES - self._said_bytes) > 0:
            self._said.append(own[:room])
            self._said_bytes += len(own)
        return content

    def _forget_said(self) -> None:
        self._said_in, self._said_bytes = None, 0
        self._said.clear()

    def copied(self, turn: Turn, data: bytes) -> None:
        """Data of a COPY passed: adds it to what can be searched, up to 64 KiB in all, and to what its commit says."""
        room = KEPT_BYTES - len(turn.content)
        if room > 0:
            turn.content += data[:room]
        if turn.transaction is not None and turn.transaction == self._said_in:
            if not (self._said and isinstance(self._said[-1], bytearray)):
                self._said.append(bytearray())
            self._said[-1] += data[: max(0, REQUEST_LIMIT_BYTES - self._said_bytes)]
            self._said_bytes += len(data)

    def ready(self, turn: Turn, status: str) -> None:
        """Its ReadyForQuery was seen."""
        self.turns.popleft()
        turn.answered(status)
        if turn is self.copying:
            self.copying = None
        if not self.turns and self.open is None:
            self.settle(status)
        if self.replication and turn.event == "startup":
            self.surrender()

    def settle(self, status: str) -> None:
        """Nothing is under way, so the status is not a prediction."""
        self._status = status
        if status == IDLE:
            self._transaction = None
            if self._said:
                self._forget_said()
            if self.prepared.portals:
                self.prepared.portals.clear()
        elif self._transaction is None:
            self._next_transaction()

    def withdraw(self, turn: Turn, status: str) -> None:
        """Takes an exchange back that the wire answers: the server never hears of it."""
        self.turns.remove(turn)
        self.prepared.restore(turn.take_unparsed())
        self.pretend(turn, status)

    def pretend(self, turn: Turn, status: str) -> None:
        """The client is told another status than the server's."""
        if not self.turns and self.open is None:
            self._transaction = None if status == IDLE else turn.transaction
            self._status = status

    def expect_repeated(self, turn: Turn) -> None:
        """Expects one reply more, directly after the turn's own."""
        again = Turn(turn.number, REPEATED, self._status)
        again.queued, again.transaction = True, turn.transaction
        self.turns.insert(self.turns.index(turn) + 1 if turn in self.turns else len(self.turns), again)

    def surrender(self) -> None:
        """Follows no more; no reply will be recognised."""
        self.opaque = True
        for turn in self.turns:
            turn.outcome = ""
        self.turns.clear()
        self.open = self.copying = None
