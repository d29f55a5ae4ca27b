"""A history as a file: JSON Lines, the first a header, written entry by entry and readable after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from airproof.errors import UsageError
from airproof.history.folding import fold
from airproof.history.records import Entry, EntryKind, Recording
from airproof.history.redaction import Redactor

FORMAT = 1


class HistoryFile:
    """Writes entries to a file, redacted. Not thread-safe: the recorder holds the lock."""

    def __init__(self, path: Path, *, header: Mapping[str, Any], redactor: Redactor) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.redactor = redactor
        self._stream: TextIO = path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
        self._line({"format": FORMAT, **header})

    def write(self, entry: Entry) -> None:
        """Appends one entry."""
        self._line({"entry": entry.kind.value, "at": round(entry.at, 6), "id": entry.id, **entry.data})

    def close(self) -> None:
        """Closes the file; it may be closed twice."""
        self._stream.close()

    def _line(self, data: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(self.redactor.value(data), ensure_ascii=False) + "\n")


def read_history(path: Path) -> Recording:
    """The recording in a history file. A last line that a crash cut off is left out.

    Raises:
        UsageError: the file is not a history.
    """
    # Not `splitlines`: what was said may hold separators of lines that are none of the file's. Bytes, for a crash may
    # cut a letter in two.
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        header, *entries = [json.loads(line) for line in lines]
        if header.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return fold(header, [_entry(data) for data in entries])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{str(path)!r} is not a history: {type(error).__name__}: {error}") from error


def _entry(data: dict[str, Any]) -> Entry:
    kind, at, id_ = EntryKind(data.pop("entry")), data.pop("at"), data.pop("id")
    return Entry(kind, at, id_, data)
