"""Log lines of a cell as a reader wants them: when, how bad, who, what; and each of them read once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airproof.environment.capabilities import LogAccess, LogLine

ERRORS = frozenset({"error", "critical", "fatal"})
_TRACEBACK = "Traceback (most recent call last)"
_SHOWN_ELSEWHERE = frozenset({"ts", "timestamp", "level", "logger", "service", "instance", "message", "exception"})
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d+) (?:UTC|GMT) ")
"""What PostgreSQL puts before a line."""

_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log line, taken apart.

    Attributes:
        written_at: seconds since the epoch; None where the line does not say.
        level: lower case; empty where the line does not say.
        details: what else the line carries, for the reader.
    """

    node: str
    written_at: float | None
    level: str
    logger: str
    message: str
    details: str = ""

    @property
    def is_error(self) -> bool:
        """Whether somebody has to look at it."""
        return self.level in ERRORS


def parse(line: LogLine) -> LogEntry:
    """Takes a line apart. A traceback outside of any logger counts as an error of the logger `stderr`."""
    fields = _fields(line.text)
    if fields is None:
        broken = not line.level and line.text.startswith(_TRACEBACK)
        level, logger = ("error", "stderr") if broken else (line.level.lower(), line.logger)
        stamp = _STAMP.match(line.text)
        return LogEntry(line.node, _seconds(stamp[1]) if stamp else None, level, logger, line.text)
    rest = {key: value for key, value in fields.items() if key not in _SHOWN_ELSEWHERE and value not in (None, "")}
    details = " ".join(f"{key}={value}" for key, value in rest.items())
    if exception := fields.get("exception"):
        details += f"\n{exception}"
    return LogEntry(
        node=line.node,
        written_at=_seconds(fields.get("ts", fields.get("timestamp"))),
        level=(line.level or str(fields.get("level", ""))).lower(),
        logger=line.logger or str(fields.get("logger", "")),
        message=str(fields.get("message", line.text)),
        details=details,
    )


class LogReader:
    """Reads the log of a cell on from where it stopped, each line once.

    The end of a log and what stands before it cannot be read in one step, so a line that is written between the two is
    seen twice; the second time it is recognised and left out.

    Args:
        whole: whether to begin with what stands in the log now.
    """

    def __init__(self, access: LogAccess, *, whole: bool = False) -> None:
        self._access = access
        self._mark = dict.fromkeys(access.mark(), 0) if whole else access.mark()
        self._seen: dict[str, list[LogLine]] = {}

    def skip(self) -> None:
        """Goes to the present end without reading."""
        self._mark = self._access.mark()
        self._seen = {}

    def read(self) -> list[LogLine]:
        """What was written since the last call, per node in order."""
        following = self._access.mark()
        by_node: dict[str, list[LogLine]] = {}
        for line in self._access.since(self._mark):
            by_node.setdefault(line.node, []).append(line)
        fresh = [line for node, lines in by_node.items() for line in _new(self._seen.get(node, []), lines)]
        self._mark = following
        self._seen = {node: lines[-_REMEMBERED:] for node, lines in by_node.items()}
        return fresh


def _new(seen: list[LogLine], lines: list[LogLine]) -> list[LogLine]:
    longest = min(len(seen), len(lines))
    repeated = next((count for count in range(longest, 0, -1) if seen[-count:] == lines[:count]), 0)
    return lines[repeated:]


def by_time(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """The entries in the order they were written; one without a time stays behind its node's previous one."""
    latest: dict[str, float] = {}
    keyed: list[tuple[float, int, LogEntry]] = []
    for number, entry in enumerate(entries):
        at = entry.written_at if entry.written_at is not None else latest.get(entry.node, 0.0)
        latest[entry.node] = at
        keyed.append((at, number, entry))
    return [entry for _, _, entry in sorted(keyed, key=lambda one: one[:2])]


def _fields(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _seconds(stamp: object) -> float | None:
    if isinstance(stamp, int | float):
        return float(stamp)
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
