"""Runs the suites against a changed platform and says whether they noticed.

A suite that stays green on a defect it is meant to catch is itself broken, and so is one that is red on the healthy
platform. Each subject (the healthy platform, a defect, somebody's patch) is run in a pytest process of its own, as a
user would run it, and judged by that run's JUnit file. Who is known to see a defect runs first, by itself; all others
run only when that stays green.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from airproof.errors import UsageError
from airproof_defects.overlay import make_overlay

_BLAME = re.compile(r"\[(?P<category>[A-Z_]+)/(?P<anomaly>[a-z0-9-]+)\] (?P<promise>.*)")


class Outcome(StrEnum):
    """How a subject ended."""

    CAUGHT = "caught"
    MISSED = "missed"
    GREEN = "green"
    RED = "red"
    BROKEN = "does not run"


@dataclass(frozen=True, slots=True)
class Subject:
    """A platform to run the suites against.

    Attributes:
        change: makes the change in a copied package; None for the healthy platform.
        category: which category is to be blamed; empty for somebody's patch.
        seen_by: the scenario that is known to see it; empty for somebody's patch.
    """

    name: str
    what: str
    category: str
    change: Callable[[Path], None] | None
    seen_by: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the proof.

    Attributes:
        blamed: categories named by the failed scenarios, in the order they failed.
        scenarios: the scenarios that turned red.
        message: the first failure's promise, or the reason why nothing ran.
    """

    subject: str
    what: str
    category: str
    outcome: Outcome
    blamed: tuple[str, ...]
    scenarios: tuple[str, ...]
    message: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether this is what a sound suite does."""
        return self.outcome in {Outcome.CAUGHT, Outcome.GREEN}


@dataclass(frozen=True, slots=True)
class Run:
    """How the suites are run.

    Attributes:
        workers: pytest-xdist processes.
        stop_after: ends a run after so many red scenarios; 0 runs them all.
        pytest_arguments: passed on as they are.
    """

    environment: str
    workers: int
    stop_after: int
    report: Path
    pytest_arguments: tuple[str, ...] = ()

    def prove(self, subject: Subject) -> Row:
        """Runs every installed suite against the subject, or of a defect as much as it takes to catch it."""
        with tempfile.TemporaryDirectory(prefix="airproof-overlay-") as directory:
            options = []
            if subject.change:
                subject.change(make_overlay(Path(directory)))
                options = [f"--airproof-platform-path={directory}"]
            began = time.monotonic()
            if subject.seen_by and self.stop_after == 1:
                row = self._run(subject, began, *options, "-k", subject.seen_by, "-n", "0")
                if row.outcome is Outcome.CAUGHT and row.blamed:
                    return row
            return self._run(subject, began, *options, "-n", str(self.workers), "--maxschedchunk=1")

    def _run(self, subject: Subject, began: float, *options: str) -> Row:
        folder = self.report / subject.name
        folder.mkdir(parents=True, exist_ok=True)
        junit = folder / "junit.xml"
        junit.unlink(missing_ok=True)
        stop_after = self.stop_after if subject.change else 0
        command = [sys.executable, "-m", "pytest", "--pyargs", *installed_suites(), "-q", f"--junitxml={junit}"]
        command += ["--airproof-env", self.environment, f"--airproof-report={folder}", f"--maxfail={stop_after}"]
        command += ["--failed-first", "-o", f"cache_dir={folder / '.cache'}", *options, *self.pytest_arguments]
        with (folder / "pytest.log").open("w", encoding="utf-8") as log:
            # Of its own, not of the nox session around it: what is printed to run a test again must say all there is.
            own = {name: value for name, value in os.environ.items() if name != "NOX_CURRENT_SESSION"}
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False, env=own).returncode
        return judge(subject, status, junit, folder / "pytest.log", time.monotonic() - began)


def installed_suites() -> list[str]:
    """The modules of the suites that are installed, from the entry point group `airproof.suites`."""
    suites = sorted(entry.value for entry in entry_points(group="airproof.suites"))
    if not suites:
        raise UsageError("no suite is installed; install one, for instance airproof-e2e")
    return suites


def judge(subject: Subject, status: int, junit: Path, log: Path, seconds: float) -> Row:
    """What a pytest run says about the subject.

    Args:
        status: pytest's exit status: 0 all green, 1 some red, 2 stopped (as xdist does after enough red ones).
    """
    row = partial(Row, subject.name, subject.what, subject.category)
    failures = _failures(junit) if status in {0, 1, 2} and junit.exists() else None
    if failures is None or (status and not failures):
        return row(Outcome.BROKEN, (), (), _complaint(log), seconds)
    blames = [match for _, text in failures for match in _BLAME.finditer(text)]
    blamed = tuple(dict.fromkeys(match["category"] for match in blames))
    message = blames[0]["promise"] if blames else _first_line(failures)
    return row(_outcome(subject, failed=bool(failures)), blamed, tuple(name for name, _ in failures), message, seconds)


def _complaint(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(("ERROR", "E  "))), lines[-1] if lines else "no output")


def _outcome(subject: Subject, *, failed: bool) -> Outcome:
    if subject.change is None:
        return Outcome.RED if failed else Outcome.GREEN
    return Outcome.CAUGHT if failed else Outcome.MISSED


def _first_line(failures: list[tuple[str, str]]) -> str:
    return failures[0][1].strip().splitlines()[0] if failures and failures[0][1].strip() else ""


def _failures(junit: Path) -> list[tuple[str, str]] | None:
    """Name and text of every failed or broken case; None if the file is unreadable or holds no case."""
    try:
        cases = list(ElementTree.parse(junit).iter("testcase"))
    except ElementTree.ParseError:
        return None
    if not cases:
        return None
    return [
        (case.get("name", ""), f"{bad.get('message', '')}\n{bad.text or ''}")
        for case in cases
        for bad in [*case.findall("failure"), *case.findall("error")]
    ]


def write_proof(rows: list[Row], file: Path) -> None:
    """Stores the matrix as JSON, for the ledger report. What was proven before stays, unless it was run again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    proven = {row["subject"]: row for row in _stored(file)} | {row.subject: asdict(row) for row in rows}
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps([*proven.values()], indent=1) + "\n", encoding="utf-8")
    draft.replace(file)


def _stored(file: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return []
    return rows
