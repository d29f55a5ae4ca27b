"""The ledger report: every promise of `features.md` against the tests that name it with `@pytest.mark.covers`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from airproof.reports.results import TestResult

_ROW = re.compile(r"^\| (?P<id>[A-Z]+-\d+) \| (?P<promise>.*?) \| (?P<real>.*?) \|$")
_HEADING = re.compile(r"^## (?P<heading>.*)$")
_TRUSTED = {"caught"}


class Coverage(StrEnum):
    """What this run says about a promise."""

    GREEN = "green"
    RED = "red"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the ledger."""

    id: str
    promise: str
    real: str
    section: str


@dataclass(frozen=True, slots=True)
class Covered:
    """A row with what this run knows about it.

    Attributes:
        tests: node id and outcome of the tests that name it; skipped ones prove nothing.
        defects: seeded defects that turned one of them red in the last proof; None where no proof is known.
    """

    row: Promise
    coverage: Coverage
    tests: tuple[tuple[str, str], ...]
    defects: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rows.

    Attributes:
        unknown: ids that tests name and the ledger does not have.
    """

    rows: tuple[Covered, ...]
    unknown: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Whether any test of the run names a row; those of other platforms' suites need not."""
        return bool(self.unknown) or any(row.tests for row in self.rows)

    def count(self, coverage: Coverage) -> int:
        """How many rows are so."""
        return sum(row.coverage is coverage for row in self.rows)

    def sections(self) -> list[tuple[str, list[Covered]]]:
        """The rows by section, in the ledger's order."""
        return [(name, list(rows)) for name, rows in groupby(self.rows, key=lambda covered: covered.row.section)]

    def write(self, path: Path) -> None:
        """Writes the ledger as JSON."""
        counts = {coverage.value: self.count(coverage) for coverage in Coverage}
        rows = [
            {
                **asdict(row.row),
                "coverage": row.coverage,
                "tests": [{"nodeid": nodeid, "outcome": outcome} for nodeid, outcome in row.tests],
                "defects": row.defects,
            }
            for row in self.rows
        ]
        content = {"counts": counts, "unknown": self.unknown, "rows": rows}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def promises(text: str | None = None) -> list[Promise]:
    """The rows of the ledger, in order; of the packaged one if no text is given."""
    if text is None:
        text = files("airproof.reports").joinpath("features.md").read_text(encoding="utf-8")
    section = ""
    rows: list[Promise] = []
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            section = heading["heading"]
        elif row := _ROW.match(line):
            rows.append(Promise(row["id"], row["promise"], row["real"], section))
    return rows


def read_proof(path: Path) -> dict[str, set[str]] | None:
    """Defect to the names of the scenarios that caught it, from a proof file; None if there is none to be read."""
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return {row["subject"]: set(row["scenarios"]) for row in rows if row["outcome"] in _TRUSTED}


def build(
    tests: Iterable[TestResult], *, proof: Mapping[str, set[str]] | None = None, rows: Sequence[Promise] | None = None
) -> Ledger:
    """The ledger of a run."""
    known = promises() if rows is None else rows
    naming: dict[str, list[TestResult]] = {}
    for test in tests:
        for id_ in test.properties.get("covers", []):
            naming.setdefault(id_, []).append(test)
    covered = tuple(_cover(row, naming.get(row.id, []), proof) for row in known)
    return Ledger(covered, tuple(sorted(naming.keys() - {row.id for row in known})))


def _cover(row: Promise, tests: list[TestResult], proof: Mapping[str, set[str]] | None) -> Covered:
    coverage = Coverage.NONE
    if any(test.outcome.red for test in tests):
        coverage = Coverage.RED
    elif any(test.outcome.green for test in tests):
        coverage = Coverage.GREEN
    names = {test.name for test in tests}
    defects = None if proof is None else tuple(sorted(id_ for id_, scenarios in proof.items() if names & scenarios))
    return Covered(row, coverage, tuple((test.nodeid, test.outcome.value) for test in tests), defects)
