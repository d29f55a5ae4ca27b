"""The HTML report: one file that opens anywhere.

The overview is plain HTML. What belongs to one test (timeline, logs, failure) is kept compressed and is unpacked by the
browser when somebody opens that test, so that a run of hundreds of tests stays a small file that opens at once.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from airproof.errors import UsageError
from airproof.history import Recording, Redactor, read_history
from airproof.reports import logfile
from airproof.reports.durations import Past
from airproof.reports.ledger import Coverage, Ledger
from airproof.reports.results import Outcome, TestResult, shorten
from airproof.reports.timeline import drawable

_QUIET_LEVELS = frozenset({"", "debug", "info"})
_LINES_OF_GREEN = 300
_LINES_OF_RED = 3000
_STYLES = ("report.css", "timeline/timeline.css")
_SCRIPTS = (
    "page.js",
    "timeline/model.js",
    "timeline/brush.js",
    "timeline/lanes.js",
    "timeline/messages.js",
    "timeline/header.js",
    "timeline/paint.js",
    "timeline/details.js",
    "timeline/list.js",
    "timeline/timeline.js",
    "report.js",
)
"""In the order in which one needs the other."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is said of the run as a whole.

    Attributes:
        began: for the reader, with the time zone.
        sources: backing to where it came from.
        stand_ins: backings that are not the real product.
        remarks: cells that were replaced, and the like.
    """

    environment: str
    platform: str
    provider: str
    seed: int
    began: str
    duration_s: float
    workers: int
    description: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Sequence[str] = ()
    remarks: Sequence[str] = ()


@dataclass(slots=True)
class Family:
    """Tests of the same promise under different circumstances.

    Attributes:
        name: as the tests' marker `promise` calls it, else the function.
        where: the function, with its file and folder.
    """

    name: str
    where: str
    promise: str
    tests: list[TestResult] = field(default_factory=list)

    def count(self, *outcomes: str) -> int:
        """How many of them ended so."""
        return sum(test.outcome.value in outcomes for test in self.tests)

    @property
    def duration_s(self) -> float:
        """All of them together."""
        return sum(test.duration_s for test in self.tests)


def write(
    path: Path,
    facts: RunFacts,
    tests: Sequence[TestResult],
    ledger: Ledger,
    *,
    redactor: Redactor,
    past: Mapping[str, Past] | None = None,
) -> None:
    """Writes the report of a run; histories and logs are looked up beside it."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    templates = Environment(
        loader=PackageLoader("airproof.reports"), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    templates.filters |= {
        "seconds": seconds,
        "percent": lambda part, whole: f"{100 * part / whole if whole else 0:.2f}",
    }
    ordered = sorted(tests, key=lambda test: not test.outcome.red)
    page = templates.get_template("report.html.j2").render(
        facts=facts,
        tests=[_overview(test, path.parent, redactor, past or {}) for test in ordered],
        families=families(tests),
        counts={outcome.value: sum(test.outcome is outcome for test in tests) for outcome in Outcome},
        red=any(test.outcome.red for test in tests),
        longest_s=max((test.duration_s for test in tests), default=0.0),
        ledger=ledger,
        sections=ledger.sections(),
        ledger_counts={coverage.value: ledger.count(coverage) for coverage in Coverage},
        style="\n".join(_packaged(name) for name in _STYLES),
        scripts=[_packaged(name) for name in _SCRIPTS],
    )
    path.write_text(page, encoding="utf-8", errors="backslashreplace")


def families(tests: Iterable[TestResult]) -> list[Family]:
    """The tests by family, in the order in which they ran."""
    found: dict[tuple[str, str], Family] = {}
    for test in tests:
        where = f"{test.module}::{test.function}"
        name = test.property("family") or test.function
        promise = test.property("family") or test.property("family_promise") or test.property("promise")
        found.setdefault((where, name), Family(name, shorten(where), promise)).tests.append(test)
    return list(found.values())


def seconds(value: float | None) -> str:
    """A duration for the reader."""
    if value is None:
        return ""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    minutes, rest = divmod(round(value), 60)
    return f"{value:.1f} s" if value < 120 else f"{minutes} min {rest} s"


def _overview(test: TestResult, directory: Path, redactor: Redactor, past: Mapping[str, Past]) -> dict[str, Any]:
    """What the list shows of a test, and the rest of it compressed."""
    sections = [[heading, text] for heading, text in test.sections if "airproof" not in heading]
    recording = None
    try:
        recording = _recording(directory, test)
    except UsageError as damaged:
        sections.append(["history", str(damaged)])
    lines = logfile.read(directory / test.property("logs")) if test.property("logs") else []
    before = past.get(test.nodeid)
    details = {
        "outcome": test.outcome.value,
        "failure": redactor.text(test.failure),
        "phases": test.phases,
        "sections": [[heading, redactor.text(text)] for heading, text in sections],
        "properties": redactor.value(
            {name: values for name, values in test.properties.items() if name not in {"history", "logs"}}
        ),
        "worker": test.worker,
        "before": None if before is None else {"median_s": before.median_s, "outcomes": before.outcomes[-12:]},
        "history": drawable(recording) if recording else None,
        "logs": [[line.at, line.level, line.node, line.logger, line.text] for line in _chosen(lines, test)],
        "log_lines": len(lines),
        "files": {name: test.property(name) for name in ("history", "logs") if test.property(name)},
    }
    return {
        "result": test,
        "promise": test.property("promise"),
        "covers": test.properties.get("covers", []),
        "faults": [f"{fault.kind} {fault.target}" for fault in recording.faults] if recording else [],
        "details": _packed(details),
    }


def _recording(directory: Path, test: TestResult) -> Recording | None:
    history = test.property("history")
    path = directory / history
    return read_history(path) if history and path.is_file() else None


def _chosen(lines: list[logfile.Line], test: TestResult) -> list[logfile.Line]:
    """The lines worth keeping in the report: all that are loud, and the last of the others."""
    room = _LINES_OF_RED if test.outcome.red else _LINES_OF_GREEN
    if len(lines) <= room:
        return lines
    loud = [number for number, line in enumerate(lines) if line.level not in _QUIET_LEVELS][-room:]
    kept = {*loud, *range(len(lines) - room + len(loud), len(lines))}
    return [line for number, line in enumerate(lines) if number in kept]


def _packed(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    compact = text.encode(errors="backslashreplace")
    return base64.b64encode(gzip.compress(compact, compresslevel=6, mtime=0)).decode()


def _packaged(name: str) -> str:
    return files("airproof.reports").joinpath("templates", *name.split("/")).read_text(encoding="utf-8")
