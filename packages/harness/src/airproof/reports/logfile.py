"""The file that holds what the nodes of a cell wrote during one test: for people, yet readable by the report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airproof.cells import LogEntry
from airproof.history import Redactor

_LINE = re.compile(r"^ *(?P<at>-?\d+\.\d+|-) (?P<level>\S+) +(?P<node>\S+) (?P<logger>\S+) \| (?P<text>.*)$")
_CONTINUED = "    "


@dataclass(frozen=True, slots=True)
class Line:
    """One line as the report shows it.

    Attributes:
        at: seconds since the test's history began; None where nobody knows.
    """

    at: float | None
    level: str
    node: str
    logger: str
    text: str


def format_line(entry: LogEntry, began_at: float) -> str:
    """The entry as a line of the file, or several where its message has several.

    Args:
        began_at: seconds since the epoch at which the test's history began.
    """
    at = "-" if entry.written_at is None else f"{entry.written_at - began_at:.3f}"
    logger = "_".join(entry.logger.split()) or "-"
    text = f"{entry.message} {entry.details}".rstrip().replace("\n", "\n" + _CONTINUED)
    return f"{at:>9} {entry.level or '-':<8} {entry.node} {logger} | {text}"


def append(path: Path, entries: Iterable[LogEntry], *, began_at: float, redactor: Redactor) -> None:
    """Adds entries to the file, redacted."""
    lines = [redactor.text(format_line(entry, began_at)) + "\n" for entry in entries]
    if lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(lines)


def read(path: Path) -> list[Line]:
    """The lines of the file; none if there is no file."""
    if not path.is_file():
        return []
    found: list[Line] = []
    for raw in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(raw)
        if match:
            at = None if match["at"] == "-" else float(match["at"])
            level, logger = (text.strip("-") for text in (match["level"], match["logger"]))
            found.append(Line(at, level, match["node"], logger, match["text"]))
        elif found:
            last = found.pop()
            text = f"{last.text}\n{raw.removeprefix(_CONTINUED)}"
            found.append(Line(last.at, last.level, last.node, last.logger, text))
    return found
