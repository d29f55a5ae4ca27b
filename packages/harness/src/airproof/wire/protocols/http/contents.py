"""What rules may read of an HTTP request, and what the wire itself answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from airproof.history.redaction import REDACTED
from airproof.wire.protocols.framing import CRLF
from airproof.wire.protocols.http.bodies import plain_body
from airproof.wire.protocols.http.heads import KNOWN_MOST, LONGEST_KNOWN

_SECRET = re.compile(r"authorization|cookie|password|secret|token|api-?key", re.IGNORECASE).search
_BODILESS = frozenset([HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])
_OWN = frozenset(["status", "body", "content_type"])


def describe(request: bytes) -> tuple[dict[str, str | int], bytes]:
    """The fields and the content of a request, also of one cut short behind its head."""
    head, _, raw = request.partition(CRLF + CRLF)
    first, *lines = head.split(CRLF)
    method, path, query, target = (_known_line if len(first) <= LONGEST_KNOWN else _request_line)(first)
    fields: dict[str, str | int] = {"method": method, "path": path, "query": query}
    for line in lines:
        name, value = (_known_field if len(line) <= LONGEST_KNOWN else _field)(line)
        fields[name] = f"{fields[name]}, {value}" if name in fields and value is not REDACTED else value
    fields["host"] = fields.get("header.host", "")
    if not raw:
        return fields, target
    chunked = "header.transfer-encoding" in fields
    return fields, target + plain_body(raw, chunked=chunked, coding=str(fields.get("header.content-encoding", "")))


def answer_to(method: bytes, answer: Mapping[str, str | int], *, closes: bool) -> bytes | None:
    """A reply of the wire's own.

    Args:
        method: of the request: HEAD gets no body.
        answer: `status` (503), `body`, `content_type`; all else are headers: `retry_after` is `Retry-After`.
        closes: whether the client expects the connection to end.
    """
    status = int(answer.get("status", HTTPStatus.SERVICE_UNAVAILABLE))
    if not 200 <= status <= 999:
        return None
    body = str(answer.get("body", "")).encode()
    lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
    if status not in _BODILESS:
        lines += [f"Content-Type: {_line(answer.get('content_type', 'text/plain'))}", f"Content-Length: {len(body)}"]
    lines += [f"{_header(name)}: {_line(value)}" for name, value in answer.items() if name not in _OWN]
    lines += ["Connection: close"] if closes else []
    has_body = method != b"HEAD" and status not in _BODILESS
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (body if has_body else b"")


def _request_line(line: bytes) -> tuple[str, str, str, bytes]:
    """The method, the path, the query, and the target as content."""
    method, target, _ = line.split(b" ")
    text = target.decode("latin-1")
    if method != b"CONNECT" and not text.startswith("/") and "://" in text.partition("?")[0]:
        authority, slash, rest = text.partition("://")[2].partition("/")
        text = slash + rest if slash else "/"
        if "?" in authority:
            text = "/?" + authority.partition("?")[2]
    path, _, query = text.partition("?")
    readable = unquote_to_bytes(target) + b"\n" if b"%" in target else b""
    return method.decode(), path, query, target + b"\n" + readable


def _field(line: bytes) -> tuple[str, str]:
    """What a header says, under the name of its field."""
    name, _, value = line.decode("latin-1").partition(":")
    return f"header.{name.lower()}", REDACTED if _SECRET(name) else value.strip()


_known_line = lru_cache(KNOWN_MOST)(_request_line)
_known_field = lru_cache(KNOWN_MOST)(_field)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"


def _header(name: str) -> str:
    return "-".join(word.capitalize() for word in name.replace("-", "_").split("_"))


def _line(value: str | int) -> str:
    return " ".join(str(value).split())
