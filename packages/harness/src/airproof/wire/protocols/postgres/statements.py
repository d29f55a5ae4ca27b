"""What an SQL text does to transactions, and which table it names, told from its words.

This is no parser. Comments and literals are taken out, and the words that remain are compared. So it does not know
what a function does that a SELECT calls, and of a statement with several tables it names the first. The verb of a WITH
query is that of the change in it, or SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final


class Effect(IntEnum):
    """What a statement does to the connection's transaction."""

    NONE = 0
    CHANGES = 1
    BEGINS = 2
    ENDS = 3
    ENDS_AND_BEGINS = 4
    RETURNS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One SQL statement.

    Attributes:
        event: `query`, `begin`, `commit`, `rollback`, `prepare_transaction`, `commit_prepared`, `rollback_prepared`,
            `copy` or `listen`.
        weight: of several statements in one exchange the heaviest gives it its event.
        fields: `sql` (at most 500 characters), `verb`, and `table` and `gid` where the statement has one.
        name: of the prepared statement that PREPARE, EXECUTE and DEALLOCATE name; empty for all.
    """

    event: str
    effect: Effect
    weight: int
    fields: dict[str, str | int]
    name: str | None = None


SQL_CHARACTERS: Final = 500
_WEIGHTS: Final = {
    "begin": 1,
    "listen": 2,
    "query": 2,
    "copy": 4,
    "rollback": 5,
    "rollback_prepared": 6,
    "prepare_transaction": 7,
    "commit_prepared": 8,
    "commit": 9,
}
_READS: Final = frozenset(
    (
        *("SELECT", "VALUES", "TABLE", "SHOW", "SET", "RESET", "EXPLAIN", "FETCH", "MOVE", "CLOSE", "DECLARE"),
        *("PREPARE", "DEALLOCATE", "DISCARD", "SAVEPOINT", "RELEASE", "LOCK", "CHECKPOINT", "LOAD"),
        *("LISTEN", "UNLISTEN"),
    )
)
_CACHED_BYTES: Final = 4096

_TOKEN = re.compile(rb"""--[^\n]*|/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\w*\$|;""", re.DOTALL)
_DOLLARS = re.compile(rb"(?=(\$\w*\$))")
_BLOCK_BODY = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)")
_NAME = r'((?:"[^"]+"|[^\W\d][\w$]*)(?:\.(?:"[^"]+"|[^\W\d][\w$]*))*)'
_TABLE = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|COPY|TRUNCATE(?:\s+TABLE)?|"
    r"(?:CREATE|ALTER|DROP)\s+TABLE(?:\s+IF\s+(?:NOT\s+)?EXISTS)?|FROM)\s+(?:ONLY\s+)?" + _NAME,
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(INSERT)\s+INTO\b|\b(DELETE)\s+FROM\b|\b(MERGE)\s+INTO\b|\b(UPDATE)\s+(?:ONLY\s+)?(?:[\w$.\"*]+\s+){1,3}SET\b",
    re.IGNORECASE,
)
_INTO = re.compile(r"\bINTO\b", re.IGNORECASE)
_COPY_FROM = re.compile(r"\s*COPY\s+[^\s(]+\s*(?:\([^)]*\))?\s*FROM\b", re.IGNORECASE)
_TRANSACTION = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|PREPARE\s+TRANSACTION)\b"
    r"(?:\s+(PREPARED)\b|(?:\s+(?:WORK|TRANSACTION))?\s+(TO|AND\s+CHAIN)\b)?",
    re.IGNORECASE,
)
_GID = re.compile(r"'((?:[^']|'')*)'")
_PREPARED = re.compile(r"\s*(?:PREPARE|EXECUTE|DEALLOCATE)(?:\s+PREPARE)?\s+" + _NAME, re.IGNORECASE)


def statements_of(text: bytes) -> tuple[Statement, ...]:
    """The statements of a text, in order; none for an empty one."""
    return _short(text) if len(text) <= _CACHED_BYTES else _read(text)


def _read(text: bytes) -> tuple[Statement, ...]:
    pieces = _pieces(text)
    return tuple(_statement(piece, bare) for piece, bare in pieces if bare.strip())


_short = lru_cache(maxsize=1024)(_read)


def _pieces(text: bytes) -> list[tuple[str, str]]:
    """Each statement as it is, and without comments and literals."""
    pieces: list[tuple[str, str]] = []
    bare: list[bytes] = []
    begin = last = 0
    for start, end in _tokens(text):
        bare.append(text[last:start])
        last = end
        match text[start : start + 1]:
            case b";":
                pieces.append((_words(text[begin:start]), _words(b"".join(bare))))
                begin, bare = last, []
            case b'"':
                bare.append(text[start:end])
            case b"-" | b"/":
                bare.append(b" ")
            case _:
                bare.append(b"''")
    pieces.append((_words(text[begin:]), _words(b"".join([*bare, text[last:]]))))
    if len(pieces) > 1 and any(_BLOCK_BODY.search(bare_text) for _, bare_text in pieces):
        return [(_words(text), pieces[0][1])]
    return pieces


def _tokens(text: bytes) -> Iterator[tuple[int, int]]:
    """Where comments, literals and semicolons begin and end. What nothing closes is nothing, and looked for once."""
    closings = {b"/*": text.rfind(b"*/")}
    if b"$" in text:
        closings |= {found[1]: found.start() for found in _DOLLARS.finditer(text)}
    at = 0
    while token := _TOKEN.search(text, at):
        start, at = token.span()
        opening = token[0]
        if opening in closings or opening[:1] == b"$":
            closing = b"*/" if opening == b"/*" else opening
            if closings.get(opening, -1) < at:
                at = start + 1
                continue
            at = text.find(closing, at) + len(closing)
        yield start, at


def _words(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _statement(sql: str, bare: str) -> Statement:
    first = _FIRST.match(bare)
    verb = first[1].upper() if first else ""
    transaction = _TRANSACTION.match(bare)
    if transaction:
        return _of_a_transaction(sql, transaction)
    event, effect = "query", Effect.NONE if verb in _READS else Effect.CHANGES
    change = _CHANGE.search(bare) if verb in {"WITH", "EXPLAIN"} else None
    if verb == "WITH":
        verb = next(filter(None, change.groups())).upper() if change else "SELECT"
        effect = Effect.CHANGES if change else Effect.NONE
    elif (verb == "EXPLAIN" and change and "ANALYZE" in bare.upper()) or (verb == "SELECT" and _INTO.search(bare)):
        effect = Effect.CHANGES
    elif verb == "COPY":
        event, effect = "copy", Effect.CHANGES if _COPY_FROM.match(bare) else Effect.NONE
    elif verb in {"LISTEN", "UNLISTEN"}:
        event = "listen"
    table = _TABLE.search(bare, change.start() if change else 0)
    return _made(event, effect, sql, verb, _name(bare, verb), table=table and table[1].replace('"', ""))


def _name(bare: str, verb: str) -> str | None:
    if verb not in {"PREPARE", "EXECUTE", "DEALLOCATE", "DISCARD"}:
        return None
    named = _PREPARED.match(bare)
    if named is None or (verb == "DEALLOCATE" and named[1].upper() == "ALL"):
        return "" if verb == "DEALLOCATE" or "ALL" in bare.upper() else None
    return named[1][1:-1] if named[1].startswith('"') else named[1].lower()


def _of_a_transaction(sql: str, found: re.Match[str]) -> Statement:
    verb, more = found[1].upper().split()[0], (found[2] or found[3] or "").upper()
    event = {"START": "begin", "END": "commit", "ABORT": "rollback"}.get(verb, verb.lower())
    if verb == "PREPARE":
        return _made("prepare_transaction", Effect.ENDS, sql, "PREPARE TRANSACTION", gid=_gid(sql))
    if more == "PREPARED":
        return _made(f"{event}_prepared", Effect.NONE, sql, f"{verb} PREPARED", gid=_gid(sql))
    if more == "TO":
        return _made("query", Effect.RETURNS, sql, "ROLLBACK TO")
    if event == "begin":
        return _made(event, Effect.BEGINS, sql, "BEGIN")
    return _made(event, Effect.ENDS_AND_BEGINS if more else Effect.ENDS, sql, event.upper())


def _gid(sql: str) -> str | None:
    found = _GID.search(sql)
    return found[1].replace("''", "'") if found else None


def _made(event: str, effect: Effect, sql: str, verb: str, name: str | None = None, **more: str | None) -> Statement:
    fields: dict[str, str | int] = {"sql": sql.strip()[:SQL_CHARACTERS], "verb": verb}
    fields |= {key: value for key, value in more.items() if value}
    weight = _WEIGHTS[event] + (effect is Effect.CHANGES and event == "query")
    return Statement(event, effect, weight, fields, name)
