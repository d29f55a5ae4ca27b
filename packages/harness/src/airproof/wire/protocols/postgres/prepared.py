"""Prepared statements and portals of one connection, as far as recognising a commit needs them."""

from __future__ import annotations

import re
from typing import Final

from airproof.wire.protocols.postgres.messages import KEPT_BYTES
from airproof.wire.protocols.postgres.statements import Statement, statements_of
from airproof.wire.session import REQUEST_LIMIT_BYTES

_AS = re.compile(r"\bAS\b", re.IGNORECASE)


class Prepared:
    """A prepared statement.

    Attributes:
        text: its beginning, 64 KiB; while somebody watches up to `REQUEST_LIMIT_BYTES`, so that a connection then
            keeps the texts of its prepared statements as long as they were sent.
        types: those that were given for its parameters.
        statements: what it does, by its first 64 KiB.
        effects: on the transaction; None where only SQL's own EXECUTE and the like would tell.
    """

    __slots__ = ("effects", "statements", "text", "types")

    def __init__(self, text: bytes, types: bytes = b"", *, watched: bool = False) -> None:
        self.text = text[: REQUEST_LIMIT_BYTES if watched else KEPT_BYTES]
        self.types = types
        self.statements: tuple[Statement, ...] = statements_of(self.text[:KEPT_BYTES])
        told = all(one.name is None and one.event in {"query", "listen"} for one in self.statements)
        self.effects = frozenset(one.effect for one in self.statements) if told else None


UNKNOWN: Final = Prepared(b"SELECT")
"""Stands for a statement that was not seen being prepared."""
UNKNOWN.text = b""


class PreparedStatements:
    """By name; the unnamed ones have the empty name.

    They are taken as prepared when they are asked for, for a pipeline uses them before the answer; what the server
    then refuses is taken back.
    """

    __slots__ = ("portals", "statements")

    def __init__(self) -> None:
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Prepared] = {}

    def restore(self, unparsed: list[tuple[bytes, Prepared, Prepared | None]]) -> None:
        """Takes back what was not prepared after all."""
        for name, prepared, earlier in reversed(unparsed):
            if self.statements.get(name) is prepared:
                self.statements.pop(name)
                if earlier is not None:
                    self.statements[name] = earlier

    def close(self, message: bytes, at: int, end: int) -> None:
        """Follows a Close whose kind stands there."""
        name = message[at + 1 : message.find(b"\0", at + 1, end)]
        (self.portals if message[at : at + 1] == b"P" else self.statements).pop(name, None)

    def follow(self, statement: Statement) -> tuple[Statement, ...]:
        """What SQL's own PREPARE, EXECUTE, DEALLOCATE and DISCARD ALL do here; what an EXECUTE executes."""
        verb, name = statement.fields["verb"], (statement.name or "").encode()
        if verb == "PREPARE":
            self.statements[name] = Prepared(_AS.split(str(statement.fields["sql"]), 1)[-1].encode())
        elif verb == "EXECUTE":
            known = self.statements.get(name)
            return known.statements if known and known.statements else (statement,)
        elif name:
            self.statements.pop(name, None)
        else:
            self.statements.clear()
            self.portals.clear()
        return (statement,)
