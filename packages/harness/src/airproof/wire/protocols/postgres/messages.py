"""Messages of PostgreSQL's protocol, version 3: their types, limits, and the few whose fields the wire reads or writes.

Source: PostgreSQL's documentation, chapter "Frontend/Backend Protocol", and `src/include/libpq/pqcomm.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

HEAD: Final = struct.Struct("!BI").unpack_from
"""Type and length of a message; the length counts itself and not the type."""

HEAD_BYTES: Final = 5
LARGEST_MESSAGE_BYTES: Final = 0x3FFFFFFF
LARGEST_STARTUP_BYTES: Final = 10_000
KEPT_BYTES: Final = 64 * 1024
"""How much of one message is kept for reading it while nobody watches; of a longer one only the beginning is read."""

# From the client.
BIND, CLOSE, DESCRIBE, EXECUTE, FLUSH, FUNCTION_CALL, PARSE, QUERY, SYNC = b"BCDEHFPQS"
COPY_DATA, COPY_DONE, COPY_FAIL, PASSWORD, TERMINATE = b"dcfpX"
BUILDING: Final = frozenset(b"PBDEC")
ENDING: Final = frozenset(b"SQF")
FROM_CLIENT: Final = frozenset(b"BCDEHFPQSdcfpX")

# From the server.
AUTHENTICATION, COMPLETE, COPY_BOTH, COPY_IN, EMPTY, ERROR, NOTICE = b"RCWGIEN"
NOTIFICATION, PARAMETER_STATUS, PARSED, READY, SUSPENDED = b"AS1Zs"
PASSING: Final = frozenset(b"23DHKRTVcdntv")
"""Messages of a reply that the wire need not read, so they pass in pieces too."""
ASYNCHRONOUS: Final = frozenset(b"AENS")
"""Messages that may come without having been asked for; an error then ends the connection."""
READ: Final = frozenset(b"CGIENAS1ZsW")

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
TLS_RECORD: Final = 0x16

IDLE, IN_TRANSACTION, FAILED = "I", "T", "E"
STATUSES: Final = {status.encode(): status for status in (IDLE, IN_TRANSACTION, FAILED)}
FATAL: Final = frozenset(("FATAL", "PANIC"))
ENDS_THE_CONNECTION: Final = frozenset(("57P01", "57P02", "57P03", "57P04", "57P05", "53300", "25P03", "25P04"))
"""SQLSTATEs that a server sends as FATAL: shutdown, crash, starting up, idle too long, too many connections."""

_OFF: Final = frozenset(("", "0", "f", "fa", "fal", "fals", "false", "n", "no", "of", "off"))


def startup_parameters(message: bytes) -> dict[str, str]:
    """What a StartupMessage says: user, database, application_name, …; the database is the user's when not given."""
    words = [word.decode("utf-8", "replace") for word in message[8:].split(b"\0")]
    named = {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}
    named.setdefault("database", named.get("user", ""))
    return named


def is_replication(parameters: Mapping[str, str]) -> bool:
    """Whether the connection is one of a replica or of logical decoding."""
    return parameters.get("replication", "off").lower() not in _OFF


def severity_and_sqlstate(body: bytes) -> tuple[str, str]:
    """Both of an ErrorResponse, the severity untranslated where the server says it so."""
    named = {field[:1]: field[1:] for field in body.split(b"\0") if field}
    severity = named.get(b"V", named.get(b"S", b"ERROR"))
    return severity.decode("ascii", "replace"), named.get(b"C", b"").decode("ascii", "replace")


def severity_of(answer: Mapping[str, str | int], *, starting: bool) -> str:
    """The severity asked for, or the one that a server would give this SQLSTATE."""
    fatal = starting or answer.get("sqlstate") in ENDS_THE_CONNECTION
    return str(answer.get("severity", "FATAL" if fatal else "ERROR"))


def error_response(answer: Mapping[str, str | int], severity: str) -> bytes:
    """An ErrorResponse with `sqlstate`, `message` and, where given, `detail` and `hint`."""
    fields = {"S": severity, "V": severity, "C": str(answer.get("sqlstate", "XX000"))}
    fields["M"] = str(answer.get("message", "answered by the wire"))
    fields |= {code: str(answer[name]) for code, name in (("D", "detail"), ("H", "hint")) if name in answer}
    body = b"".join(f"{code}{value}\0".encode() for code, value in fields.items()) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


def ready_for_query(status: str) -> bytes:
    """A ReadyForQuery with that transaction status."""
    return b"Z\0\0\0\5" + status.encode("ascii")
