"""What a Redis command says: its event name, which of its arguments are keys, and what rules may read of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import itemgetter

from airproof.wire.protocols.framing import CRLF

SEPARATOR = b" "
"""Stands between the arguments in the content of an exchange."""

UNKNOWN = "UNKNOWN"
"""The event of a command whose name is no name: too long, or made of bytes that no command has."""

LONGEST_WORD = 64


def _words(text: str) -> list[str]:
    return text.split()


CONTAINERS = frozenset(
    _words(
        "ACL CLIENT CLUSTER COMMAND COMMANDLOG CONFIG DEBUG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT"
        " SENTINEL SLOWLOG XGROUP XINFO"
    )
)
"""Commands whose second word belongs to the event: `CLIENT TRACKING`, `XGROUP CREATE`."""

SUBSCRIBING = {
    "SUBSCRIBE": b"subscribe",
    "UNSUBSCRIBE": b"unsubscribe",
    "PSUBSCRIBE": b"psubscribe",
    "PUNSUBSCRIBE": b"punsubscribe",
    "SSUBSCRIBE": b"ssubscribe",
    "SUNSUBSCRIBE": b"sunsubscribe",
}
"""Commands that are confirmed channel by channel, and how."""

_NAME = re.compile(rb"[A-Za-z0-9_.:|-]{1,64}")

_NO_KEY = frozenset(
    _words(
        "ASKING AUTH BGREWRITEAOF BGSAVE DBSIZE DISCARD ECHO EXEC FAILOVER FLUSHALL FLUSHDB HELLO INFO KEYS LASTSAVE"
        " LOLWUT MONITOR MULTI PING PSYNC PUBLISH QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF RESET ROLE SAVE"
        " SCAN SELECT SHUTDOWN SLAVEOF SPUBLISH SWAPDB SYNC TIME UNWATCH WAIT WAITAOF UNKNOWN"
    )
) | frozenset(SUBSCRIBING)
_KEYED_CONTAINERS = frozenset(["MEMORY USAGE", "DEBUG OBJECT"])


def _arguments(*places: int | None) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    return itemgetter(slice(*places))


_PLACES = {
    **dict.fromkeys(
        _words(
            "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK WATCH"
        ),
        _arguments(1, None),
    ),
    **dict.fromkeys(_words("MSET MSETNX"), _arguments(1, None, 2)),
    **dict.fromkeys(_words("BLPOP BRPOP BZPOPMAX BZPOPMIN"), _arguments(1, -1)),
    **dict.fromkeys(
        _words("BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE"),
        _arguments(1, 3),
    ),
    "BITOP": _arguments(2, None),
}
"""Which arguments are keys, where it is not the first one alone."""
_COUNTED = {
    **dict.fromkeys(_words("LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION"), 1),
    **dict.fromkeys(_words("BLMPOP BZMPOP EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO"), 2),
    **dict.fromkeys(_words("ZDIFFSTORE ZINTERSTORE ZUNIONSTORE"), 2),
}
"""Commands that say how many keys follow, and at which position they say it."""

_SECRET = frozenset(["AUTH", "HELLO", "MIGRATE", "ACL SETUSER"])
"""Commands whose arguments may be passwords; only their names are ever shown."""
_SECRET_SETTING = re.compile(rb"pass|auth|user", re.IGNORECASE)


def event_of(words: Sequence[bytes]) -> str:
    """The event that a command's first words name, in upper case."""
    if not words or not _NAME.fullmatch(words[0]):
        return UNKNOWN
    name = words[0].upper().decode()
    if name in CONTAINERS and len(words) > 1 and _NAME.fullmatch(words[1]):
        return f"{name} {words[1].upper().decode()}"
    return name


def arguments_of(request: bytes) -> list[bytes]:
    """The arguments of a command as it was sent, its name first; of a command cut short, those that are there."""
    if not request.startswith(b"*"):
        return inline_arguments(request) or []
    lines = request.split(CRLF)
    if len(lines) == 2 * int(lines[0][1:]) + 2 and not lines[-1]:  # no argument holds a line end
        return lines[2::2]
    found: list[bytes] = []
    at = request.find(CRLF) + 2
    while (stop := request.find(CRLF, at)) > 0 and request[at + 1 : stop].isdigit():
        size = int(request[at + 1 : stop])
        found.append(request[stop + 2 : stop + 2 + size])
        at = stop + size + 4
    return found


def inline_arguments(line: bytes) -> list[bytes] | None:
    """The words of an inline command, quotes undone as Redis does it; None for unbalanced quotes."""
    words: list[bytes] = []
    at, text = 0, line.strip()
    while at < len(text):
        match = _INLINE.match(text, at)
        if match is None:
            return None
        words.append(_unquoted(match.group(1)))
        at = match.end()
    return words


def describe(event: str, arguments: Sequence[bytes]) -> tuple[dict[str, str | int], bytes]:
    """The fields and the content of a command; of one that may hold a password, its name only."""
    fields: dict[str, str | int] = {"command": event, "args": len(arguments) - 1}
    if event in _SECRET or (event == "CONFIG SET" and any(map(_SECRET_SETTING.search, arguments[2:]))):
        return fields, event.encode()
    keys = [text(key) for key in _keys_of(event)(arguments)]
    if keys:
        fields["key"] = keys[0]
        fields["keys"] = ",".join(keys) if len(keys) > 1 else keys[0]
    if event in {"PUBLISH", "SPUBLISH"}:
        fields["channel"] = text(b"".join(arguments[1:2]))
    elif event in SUBSCRIBING:
        fields["channel"] = ",".join(map(text, arguments[1:]))
    return fields, SEPARATOR.join(arguments)


def text(data: bytes) -> str:
    """Bytes as text; what is no UTF-8 is escaped."""
    return data.decode(errors="backslashreplace")


@lru_cache(maxsize=4096)
def _keys_of(event: str) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    """What picks the keys out of the arguments of such a command."""
    if event in _NO_KEY:
        return _arguments(0, 0)
    if " " in event:
        keyed = event in _KEYED_CONTAINERS or event.startswith(("OBJECT ", "XGROUP ", "XINFO "))
        return _arguments(2, 3) if keyed else _arguments(0, 0)
    if event in _COUNTED:
        return partial(_counted, event)
    if event in {"XREAD", "XREADGROUP"}:
        return _streams
    return _PLACES.get(event, _arguments(1, 2))


def _counted(event: str, arguments: Sequence[bytes]) -> Sequence[bytes]:
    at = _COUNTED[event]
    number = b"".join(arguments[at : at + 1])
    keys = list(arguments[at + 1 : at + 1 + int(number)]) if number.isdigit() and len(number) < 8 else []
    return [arguments[1], *keys] if event.endswith("STORE") and len(arguments) > 1 else keys


def _streams(arguments: Sequence[bytes]) -> Sequence[bytes]:
    names = [argument.upper() for argument in arguments]
    if b"STREAMS" not in names:
        return ()
    rest = arguments[names.index(b"STREAMS") + 1 :]
    return rest[: len(rest) // 2]


_INLINE = re.compile(
    rb"""\s*("(?:[^"\\]|\\.)*"(?=\s|$)|'(?:[^'\\]|\\.)*'(?=\s|$)|(?!["'])[^\s"']+(?=\s|$))""", re.DOTALL
)
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def _unquoted(word: bytes) -> bytes:
    if word[:1] == b"'":
        return word[1:-1].replace(b"\\'", b"'")
    if word[:1] != b'"':
        return word
    return _ESCAPE.sub(lambda match: _unescaped(match.group(1)), word[1:-1])


def _unescaped(escape: bytes) -> bytes:
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _ESCAPED.get(escape, escape)
