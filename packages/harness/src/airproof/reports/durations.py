"""How long tests take, kept over runs: one JSON line per test and run, of the last runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from airproof.reports.results import TestResult

KEPT_RUNS = 20


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a test from the runs before.

    Attributes:
        median_s: of its duration, over the runs in which it was green.
        outcomes: oldest first.
    """

    median_s: float | None
    outcomes: tuple[str, ...]


def read(path: Path) -> dict[str, Past]:
    """Node id to what is known of it."""
    by_test: dict[str, list[dict[str, object]]] = {}
    for line in _lines(path):
        by_test.setdefault(str(line["nodeid"]), []).append(line)
    return {nodeid: _past(lines) for nodeid, lines in by_test.items()}


def append(path: Path, tests: Iterable[TestResult], *, run: str) -> None:
    """Adds a run and forgets the oldest ones beyond `KEPT_RUNS`."""
    kept = _lines(path)
    runs = list(dict.fromkeys(line["run"] for line in kept))[-(KEPT_RUNS - 1) :]
    lines = [line for line in kept if line["run"] in runs]
    for test in tests:
        phases = {phase: round(seconds, 4) for phase, seconds in test.phases.items()}
        lines.append({"run": run, "nodeid": test.nodeid, "outcome": test.outcome.value, **phases})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _past(lines: list[dict[str, object]]) -> Past:
    phases = ("setup", "call", "teardown")
    totals = [sum(float(str(line.get(phase, 0))) for phase in phases) for line in lines if line["outcome"] == "passed"]
    return Past(median(totals) if totals else None, tuple(str(line["outcome"]) for line in lines))


def _lines(path: Path) -> list[dict[str, object]]:
    """The lines of the file; one that a crash cut off is left out."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in complete.splitlines()]
