"""What can be read of a Redis reply at its beginning: how it ends, and which word a message begins with."""

from __future__ import annotations

from airproof.wire.protocols.framing import CRLF, Violation
from airproof.wire.protocols.redis.commands import LONGEST_WORD
from airproof.wire.protocols.redis.lines import sized_line

LONGEST_LINE = 64 * 1024
LINES = b"+-:_,#("
BULKS = b"$!="
AGGREGATES = b"*~%|"
BULK_ERROR = ord("!")

_OUTCOMES = {
    ord(":"): "int",
    ord("$"): "bulk",
    ord("*"): "array",
    ord("_"): "nil",
    ord("#"): "bool",
    ord(","): "double",
    ord("("): "bignum",
    ord("="): "verbatim",
    ord("%"): "map",
    ord("~"): "set",
}


def line_end(data: bytes, at: int) -> int | None:
    """Where the line ends that begins here; None when it does not yet.

    Raises:
        Violation: it is too long.
    """
    stop = data.find(CRLF, at, at + LONGEST_LINE)
    if stop < 0 and len(data) - at >= LONGEST_LINE:
        raise Violation
    return stop + 2 if stop >= 0 else None


def outcome_of(data: bytes, at: int) -> str | None:
    """How the reply that begins here ends; None when that cannot be said yet."""
    kind = data[at]
    if kind in b"+-":
        stop = line_end(data, at)
        return None if stop is None else word_of(data[at : stop - 2])
    if kind in LINES:
        return _OUTCOMES[kind]
    line = sized_line(data, at, BULKS + AGGREGATES)
    if line is None:
        return None
    after, size = line
    if size < 0:
        return "nil"
    if kind != BULK_ERROR:
        return _OUTCOMES.get(kind, "")
    beginning = data[after : after + min(size, LONGEST_WORD)]
    return None if len(beginning) < min(size, LONGEST_WORD) else word_of(b"-" + beginning)


def word_of(line: bytes) -> str:
    """`OK` of `+OK`, `-LOADING` of `-LOADING Redis is …`, `simple` of `+`."""
    if line == b"+OK":
        return "OK"
    word = line.split(maxsplit=1)[0] if line[:1] == b"-" else line[1:]
    return word[:LONGEST_WORD].decode(errors="backslashreplace") or "simple"


def first_word(data: bytes, at: int) -> bytes | None:
    """The word with which a message or a confirmation begins, empty for anything else; None when it is not there."""
    line = sized_line(data, at, b">*")
    if line is None:
        return None
    at, count = line
    if count < 1:
        return b""
    if data[at : at + 1] not in {b"", b"$"}:
        return b""
    line = sized_line(data, at, b"$")
    if line is None:
        return None
    at, size = line
    if not 0 < size <= LONGEST_WORD:
        return b""
    return data[at : at + size] if len(data) >= at + size else None


def confirmation(data: bytes, at: int) -> tuple[int, int] | None:
    """Where a confirmation ends and how many subscriptions it says there are; None when it is not all there."""
    for types in (b">*", b"$", b"$_"):
        if data[at : at + 3] == b"_\r\n":
            at += 3
            continue
        line = sized_line(data, at, types)
        if line is None:
            return None
        at = line[0] + (line[1] + 2 if types != b">*" and line[1] >= 0 else 0)
    return sized_line(data, at, b":") if at <= len(data) else None
