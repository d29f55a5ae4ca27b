"""Keeps secrets out of everything that is written: known values wherever they stand, and what looks like a secret.

Two nets, because each has holes: a generated secret is known by its value but may stand anywhere; a user's password is
known only by the name of the field it stands in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

REDACTED = "[redacted]"

_SECRET_NAME = (
    r"(?:[a-z0-9]+[_-])*[a-z0-9]*(?:password|passwd|pwd|secret|token|authorization|api[_-]?key|admin[_-]?key|cookie)s?"
    r"(?:[_-](?:hash|value|key))?"
)
_NAME = re.compile(_SECRET_NAME, re.IGNORECASE)
_NOT_YET = r"(?!\[redacted\])"
_VALUE = _NOT_YET + r"[^\s,;&)}\]<>\"'\\]+"
"""What may follow a secret's name without quotes, up to what ends it in a URL, a log line, JSON or XML."""
_TEXT = tuple(
    (sign, re.compile(pattern, re.IGNORECASE))
    for sign, pattern in (
        ("authorization", r"(\bauthorization\\?[\"']?\s*[:=]\s*\\?[\"']?(?:(?:bearer|basic|digest)\s+)?+)" + _VALUE),
        ("bearer", r"(\bbearer\s+)[a-z0-9._~+/=-]{12,}"),
        ("eyj", r"()\beyJ[a-z0-9_-]{4,}\.[a-z0-9_-]{4,}\.[a-z0-9_-]*"),
        ("://", r"(\b[a-z][a-z0-9+.-]*://[^\s/:@\"']*:)" + _NOT_YET + r"[^\s/@\"']+(?=@)"),
        ("=", rf"(\b{_SECRET_NAME}\s*=\s*)" + _VALUE),
        (":", rf"(\b{_SECRET_NAME}\s*:\s*)" + _VALUE),
    )
)
"""What looks like a secret, and what stands in every such text: a plain search is much cheaper than an expression."""
_QUOTED = re.compile(rf"(?:\\*[\"']|\b){_SECRET_NAME}(?:\\*[\"'])?\s*[:=,]\s*b?(\\*[\"'])", re.IGNORECASE)
_HINTS = ("passw", "pwd", "secret", "token", "key", "cookie", "authorization", "bearer", "eyj", "://")
"""One of these stands in everything that looks like a secret; most texts have none."""
_SHORTEST_KNOWN = 6


class Redactor:
    """Replaces secrets in texts and JSON values.

    Args:
        secrets: values known to be secret; shorter than 6 characters they are ignored, for they would blank plain text.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self._secrets: set[str] = set()
        self._names: dict[str, tuple[str, bool]] = {}
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Adds values known to be secret, also as they look inside JSON and URLs."""
        for secret in secrets:
            if len(secret) >= _SHORTEST_KNOWN:
                self._secrets |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
        self._names.clear()
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._known = re.compile("|".join(re.escape(secret) for secret in longest_first))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        folded = text.casefold()
        for hint in _HINTS:
            if hint in folded:
                break
        else:
            return text
        for sign, pattern in _TEXT:
            if sign in folded:
                text = pattern.sub(r"\1" + REDACTED, text)
        return _quoted(text) if '"' in text or "'" in text else text

    def value(self, value: Any) -> Any:
        """The JSON value without secrets; fields with the name of a secret lose their content."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                shown: _blank(inner) if secret else self.value(inner) for (shown, secret), inner in self._fields(value)
            }
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def _fields(self, value: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, bool], Any]]:
        """Each field's name as it may be shown, whether it is a secret's, and its content. Names recur."""
        for key, inner in value.items():
            name = str(key)
            if name not in self._names:
                self._names[name] = (self.text(name), _NAME.fullmatch(name) is not None)
            yield self._names[name], inner


def _blank(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _blank(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_blank(inner) for inner in value]
    return REDACTED if isinstance(value, str) and value else value


def _quoted(text: str) -> str:
    """Blanks the quoted strings after a secret's name. It may be JSON inside JSON, so the end quote is searched."""
    parts: list[str] = []
    at = 0
    while found := _QUOTED.search(text, at):
        parts += [text[at : found.end()], REDACTED]
        at = _closing(text, found.end(), found.group(1))
    return "".join([*parts, text[at:]])


def _closing(text: str, start: int, opening: str) -> int:
    """Where the string that `opening` began ends; the end of the text if it is cut off."""
    escapes = len(opening) - 1
    at = start
    while (at := text.find(opening[-1], at)) != -1:
        backslashes = len(text[start:at]) - len(text[start:at].rstrip("\\"))
        if backslashes == escapes or (escapes == 0 and backslashes % 2 == 0):
            return at - escapes
        at += 1
    return len(text)
