"""What became of every test of a run, gathered from pytest's reports of its phases, of all workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Outcome(StrEnum):
    """How a test ended; an error is a failure outside of the test itself."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    UNFINISHED = "unfinished"

    @property
    def green(self) -> bool:
        """Whether the test proves its promise."""
        return self is Outcome.PASSED

    @property
    def red(self) -> bool:
        """Whether somebody has to look at it."""
        return self in {Outcome.FAILED, Outcome.ERROR, Outcome.UNFINISHED}


@dataclass(slots=True)
class TestResult:
    """One test.

    Attributes:
        phases: `setup`, `call`, `teardown` to seconds.
        failure: the text of what went wrong in every phase that failed, or why the test was skipped.
        sections: captured output, by pytest's heading.
        properties: what the test said of itself: `promise`, `covers` (several), `seed`, `history`, `logs`, `reproduce`.
    """

    __test__ = False

    nodeid: str
    outcome: Outcome = Outcome.UNFINISHED
    phases: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)
    properties: dict[str, list[str]] = field(default_factory=dict)
    worker: str = ""

    @property
    def duration_s(self) -> float:
        """All phases together."""
        return sum(self.phases.values())

    @property
    def module(self) -> str:
        """The test's file."""
        return self.nodeid.partition("::")[0]

    @property
    def name(self) -> str:
        """The test's name, with its parameters."""
        return self.nodeid.partition("::")[2] or self.nodeid

    @property
    def function(self) -> str:
        """The test's name without its parameters."""
        return self.name.partition("[")[0]

    @property
    def short(self) -> str:
        """The node id with no more of the path than the file and its folder."""
        return shorten(self.nodeid)

    def property(self, name: str) -> str:
        """The last value of a property, or an empty text."""
        return (self.properties.get(name) or [""])[-1]


class Results:
    """The tests of a run, in the order in which their first reports came."""

    def __init__(self) -> None:
        self._tests: dict[str, TestResult] = {}

    def __len__(self) -> int:
        return len(self._tests)

    def add(self, report: pytest.TestReport) -> None:
        """Takes a report of one phase of a test."""
        test = self._tests.setdefault(report.nodeid, TestResult(report.nodeid))
        if report.when == "setup":
            test.phases, test.failure, test.outcome = {}, "", Outcome.UNFINISHED
        test.phases[report.when] = report.duration
        test.worker = getattr(report, "worker_id", test.worker)
        test.sections = list(report.sections)
        test.properties = _grouped(report.user_properties) or test.properties
        self._judge(test, report)

    def tests(self) -> list[TestResult]:
        """All tests."""
        return list(self._tests.values())

    def count(self, *outcomes: Outcome) -> int:
        """How many tests ended so."""
        return sum(test.outcome in outcomes for test in self._tests.values())

    def _judge(self, test: TestResult, report: pytest.TestReport) -> None:
        expected_to_fail = hasattr(report, "wasxfail")
        if report.failed:
            inside = report.when == "call" or test.outcome is Outcome.FAILED
            test.outcome = Outcome.FAILED if inside else Outcome.ERROR
            test.failure = "\n\n".join(filter(None, [test.failure, report.longreprtext]))
        elif report.skipped:
            test.outcome = Outcome.XFAILED if expected_to_fail else Outcome.SKIPPED
            test.failure = str(report.wasxfail) if expected_to_fail else _reason(report)
        elif report.when == "call":
            test.outcome = Outcome.PASSED


def shorten(nodeid: str) -> str:
    """A node id with no more of the path than the file and its folder."""
    file, colons, name = nodeid.partition("::")
    return "/".join(file.split("/")[-2:]) + colons + name


def _grouped(properties: Iterable[tuple[str, object]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in properties:
        grouped.setdefault(name, []).append(str(value))
    return grouped


def _reason(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
