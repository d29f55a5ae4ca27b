"""One exchange of PostgreSQL: all that one ReadyForQuery answers."""

from __future__ import annotations

from airproof.wire.protocols.postgres.messages import FAILED, IDLE, IN_TRANSACTION
from airproof.wire.protocols.postgres.prepared import Prepared
from airproof.wire.protocols.postgres.statements import Effect, Statement
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange

_ENDINGS = frozenset(("commit", "rollback", "prepare_transaction", "commit_prepared", "rollback_prepared"))


class Turn(Exchange):
    """An exchange with what the session must remember until it is answered.

    Attributes:
        before: the transaction status when it began, as far as the client could know; predicted in a pipeline.
        status: the status after its statements; predicted until it is answered.
        heaviest: the statement that gives it its event.
        commits: whether a statement in it, or its end, may commit something.
        extended: whether messages of the extended protocol are in it, so that a Sync ends it.
        mixed: whether a simple query ends it although messages of the extended protocol are in it.
        queued: whether a part of it was passed on.
        begun: whether a part of its reply was passed on.
        words: SQL texts and parameters, each once and in order, while watched.
        parsed: the statements that it prepared: the name, what it prepared, and what was there before.
    """

    commits = ended = extended = mixed = queued = begun = False
    words: dict[bytes, None] | None = None
    parsed: list[tuple[bytes, Prepared, Prepared | None]] | None = None
    heaviest: Statement | None = None
    statements = 0
    _heaviest_number = _completed = _parse_completed = 0
    _settled = False
    _tag = ""
    _room = REQUEST_LIMIT_BYTES

    def __init__(self, number: int, event: str, status: str) -> None:
        # One is made for every statement that passes: what rarely differs is not set, and the parent's is not called.
        self.number = number
        self.event = event
        self.fields = {}
        self.content = b""
        self.transaction = None
        self.outcome = None
        self.before = self.status = status

    def execute(self, statement: Statement) -> None:
        """Takes a statement in, in order."""
        self.statements += 1
        if self.heaviest is None or statement.weight > self.heaviest.weight:
            self.heaviest, self._heaviest_number, self._settled = statement, self.statements, False
        effect = statement.effect
        if effect is Effect.NONE:
            self.commits |= statement.event == "commit_prepared"
        elif effect is Effect.CHANGES:
            self.commits |= self.status == IDLE
        elif effect is Effect.BEGINS:
            self.status = IN_TRANSACTION if self.status == IDLE else self.status
        elif effect is Effect.RETURNS:
            self.status = IN_TRANSACTION if self.status == FAILED else self.status
        else:
            self.commits |= statement.event == "commit"
            self.ended = True
            self.status = IN_TRANSACTION if effect is Effect.ENDS_AND_BEGINS else IDLE

    def say(self, word: bytes) -> None:
        """Adds what can be searched, while watched."""
        if self.words is not None and self._room > 0 and word not in self.words:
            self.words[word[: self._room]] = None
            self._room -= len(word)

    def name_event(self) -> None:
        """Says what happens in it, once its last statement is known."""
        if self.heaviest is None or self.event == "function_call":
            return
        event = self.heaviest.event
        self.event = "autocommit" if self.commits and event == "query" else event

    def completed(self, tag: str) -> None:
        """A statement's CommandComplete, or what stands for one, was seen."""
        self._completed += 1
        if not self._settled:
            self._tag = tag
            self._settled = self._completed == self._heaviest_number

    def failed(self, tag: str) -> None:
        """An ErrorResponse was seen. It does not undo a COMMIT that was confirmed before it."""
        if not self._settled or self.event not in _ENDINGS:
            self._tag, self._settled = tag, True

    def parse_completed(self) -> None:
        """A ParseComplete was seen."""
        self._parse_completed += 1

    def take_unparsed(self) -> list[tuple[bytes, Prepared, Prepared | None]]:
        """What it was to prepare and the server has not, and will not."""
        unparsed = self.parsed[self._parse_completed :] if self.parsed else []
        self.parsed = None
        return unparsed

    def answered(self, status: str) -> None:
        """Its ReadyForQuery was seen, or the error that ends the connection."""
        self.status = status
        self.outcome = self._tag or "ReadyForQuery"
