"""PostgreSQL's protocol, versions 3.0 and 3.2.

**Exchanges.** One is what ends with one ReadyForQuery: a Query, a FunctionCall, or the messages of the extended
protocol up to their Sync. While watched they are kept back until that message is there, or a Flush; after a Flush the
exchange goes on in further segments, and its event and fields change with what they hold. So of a pipeline all that
stands between two Syncs is one exchange: a rule meets it as a whole, and `statements` says how many it has. The
data of a COPY … FROM STDIN comes in further segments of the exchange that began it; the last of them is `last` again.

**Events.** Of several statements in an exchange the heaviest names it: `commit`, `commit_prepared`,
`prepare_transaction`, `rollback_prepared`, `rollback`, `copy`, `autocommit` (changes something outside a transaction,
so its end is the commit point), `query`, `listen`, `begin`. Without a statement: `parse` (prepares, describes or
closes only), `sync` (nothing at all), `function_call`, `startup`, `cancel`, `terminate`, and `repeated` for what the
wire sent again.

**Fields.** `sql` (at most 500 characters), `verb`, `table` (the first that is named) and `gid` (of two-phase commit) of
the statement that names the event; `statements`; `status` before it (`I` idle, `T` in a transaction, `E` in a failed
one; predicted where replies are outstanding); `user` and `database`; `commit_point: 1` where it may commit. Of
`startup`: `user`, `database`, `application_name`; of `cancel`: `process`.

**Content.** SQL texts, also of statements prepared earlier, and parameters; a uuid or integer sent binary also as
text. Of what may commit, also all that was said before in its transaction, so that the COMMIT that follows a
statement is found by what that statement held. Then, as it passes, the client's data of a COPY (64 KiB).

**Outcomes.** The tag of the statement that names the event: `COMMIT`, `INSERT 0 1`, `ROLLBACK` (also of a COMMIT that
the server refused quietly, for the transaction had failed); or `ERROR 40001`, `FATAL 57P01`; or, without a tag,
`ReadyForQuery`, `EmptyQueryResponse`, `PortalSuspended`.

**Bytes only** from then on: TLS and GSS encryption once accepted, replication once started, and what is no PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping

from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import REPEATED, Conversation
from airproof.wire.protocols.postgres.replies import Replies
from airproof.wire.protocols.postgres.requests import Requests
from airproof.wire.protocols.postgres.skimming import skim
from airproof.wire.protocols.postgres.turn import Turn
from airproof.wire.session import Exchange, Segment, Sender, Session


class PostgresSession(Session):
    """One connection to PostgreSQL.

    Attributes:
        ended: whether the wire's own answer was one after which a server closes the connection; the wire then does.
    """

    protocol = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self._conversation = Conversation()
        self._requests = Requests(self._conversation)
        self._replies = Replies(self._conversation)

    def receive(self, sender: Sender, data: bytes) -> list[Segment]:
        """The segments that this piece completes, in order."""
        if self.opaque:
            return self._pass(sender, data)
        segments = self._replies.receive(data) if sender else self._requests.receive(data, self.watched)
        self.opaque = self._conversation.opaque
        return segments

    def skim(self, request: bytes, reply: bytes) -> bool:
        """Follows what libpq sends most: one prepared statement is executed, and the transaction goes on as it was."""
        between = not self.opaque and self._requests.is_between and self._replies.is_between
        return between and skim(self._conversation, request, reply)

    def finish(self, sender: Sender) -> list[Segment]:
        """What is kept back; of a server, also the end of every reply that now will not come."""
        kept = self._pass(sender, b"")
        if sender is Sender.CLIENT:
            return kept
        turns = list(self._conversation.turns)
        self._conversation.surrender()
        self.opaque = True
        if turns and kept:
            return [Segment(kept[0].data, turns[0], last=True), *(Segment(b"", turn, last=True) for turn in turns[1:])]
        return [*kept, *(Segment(b"", turn, last=True) for turn in turns)]

    def keeps_waiting(self, exchange: Exchange) -> bool:
        """Whether the server waits for a COPY's data or for a password, or has answered a Flush before the Sync."""
        asks_back = exchange.event == "startup" and exchange.outcome is None
        return asks_back or exchange is self._conversation.copying or exchange is self._conversation.open

    def _pass(self, sender: Sender, data: bytes) -> list[Segment]:
        kept = self._replies.drain() if sender else self._requests.drain()
        data = kept + data if kept else data
        return [Segment(data)] if data else []

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        """An error of the wire's own: ErrorResponse and, unless it ends the connection, ReadyForQuery.

        In a transaction the client is told that it has failed, so it will roll back, and the server, which knows
        nothing of this, rolls back a sound transaction. That is so for a COMMIT too, after whose failure a real server
        is idle: a client that was told so would go on inside a transaction that is still open. A client that
        commits after an error commits what came before it.

        An exchange that the server has answered may still be answered otherwise, if nothing of its reply was passed
        on: the COMMIT took effect, and the client hears that it failed. Its outcome stays the server's.

        Args:
            exchange: from this session, its request complete and no part of its reply passed on.
            answer: `sqlstate`, `message`, `detail`, `hint`, and `severity` (`ERROR`; `FATAL` for SQLSTATEs that a
                server sends so, and in the startup). After `FATAL` the wire closes the connection: see `ended`.
        """
        conversation = self._conversation
        if not isinstance(exchange, Turn) or exchange is conversation.open or exchange is conversation.copying:
            return None
        is_waiting = exchange in conversation.turns
        if exchange.event in {"cancel", "terminate", REPEATED} or (
            exchange.begun if is_waiting else not exchange.outcome
        ):
            return None
        severity = pg.severity_of(answer, starting=exchange.event == "startup")
        idle = (exchange.before if is_waiting else exchange.status) == pg.IDLE
        status = pg.IDLE if idle else pg.FAILED
        if is_waiting:
            conversation.withdraw(exchange, status)
            exchange.outcome = f"{severity} {answer.get('sqlstate', 'XX000')}"
        else:
            conversation.pretend(exchange, status)
        if severity in pg.FATAL:
            self.ended = True
            return pg.error_response(answer, severity)
        return pg.error_response(answer, severity) + pg.ready_for_query(status)

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:
        """The same request again, to be sent directly after the first.

        Not of a COPY, of what names a statement or portal (it exists already the second time), nor of what is no query.
        """
        if not isinstance(exchange, Turn) or not _can_be_repeated(exchange, request):
            return None
        self._conversation.expect_repeated(exchange)
        return request


def _can_be_repeated(exchange: Turn, request: bytes) -> bool:
    if exchange.event in {"startup", "cancel", "terminate", "copy", REPEATED} or exchange.outcome == "":
        return False
    at = 0
    while at + pg.HEAD_BYTES < len(request):
        kind, size = pg.HEAD(request, at)
        if kind in {pg.PARSE, pg.BIND} and request[at + pg.HEAD_BYTES]:
            return False
        at += size + 1
    return True
