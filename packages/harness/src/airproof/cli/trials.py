"""A test run again and again with one schedule or another, each time by pytest in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from airproof.errors import AirproofError, UsageError

if TYPE_CHECKING:
    from airproof.faults.nemesis import Schedule

_LONGEST_S = 1800.0
_SHOWN_LINES = 15
_PASSED, _FAILED, _NO_TESTS = 0, 1, 5
_ANOMALY = re.compile(r"(?:Failed: )?\[([A-Z_]+/[a-z0-9-]+)\]")
PROVED_NOTHING = "FaultNotObserved"
"""The failure of a test that wants faults and has met none: it is not the failure that is looked for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How one run ended.

    Attributes:
        failure: the name of the anomaly or the error that the test failed with; empty if it passed.
    """

    failure: str

    @property
    def failed(self) -> bool:
        """Whether the test failed, and not for want of faults."""
        return self.failure not in {"", PROVED_NOTHING}


class Trials:
    """Runs one test.

    Args:
        test: its id, as pytest takes it.
        options: of pytest, besides the schedule and the report.
        directory: for schedules and reports; emptied by somebody else.
    """

    def __init__(self, test: str, options: Sequence[str], directory: Path) -> None:
        self._test = test
        self._options = list(options)
        self._report = directory / "report"
        self._junit = self._report / "junit.xml"
        self._file = directory / "schedule.json"

    def run(self, schedule: Schedule | None) -> Trial:
        """Runs it once; without a schedule, the test makes its own.

        Raises:
            UsageError: pytest does not find such a test, or does not take the options.
            AirproofError: the run broke off or failed beside its test, or the test could not begin.
        """
        given = []
        if schedule is not None:
            schedule.write(self._file)
            given = [f"--airproof-schedule={self._file}"]
        reports = [f"--airproof-report={self._report}", f"--junitxml={self._junit}"]
        self._junit.unlink(missing_ok=True)
        ended = self._start([*self._options, *given, *reports])
        if ended.returncode == _PASSED:
            return Trial("")
        if ended.returncode == _FAILED and self._junit.is_file() and (failure := _failure(self._junit)):
            return Trial(failure)
        raise self._trouble(ended)

    def own_schedule(self) -> Path:
        """The schedule that the last run left.

        Raises:
            UsageError: it left none.
        """
        for path in sorted(self._report.glob("histories/*.schedule.json")):
            return path
        raise UsageError(f"{self._test} has no schedule of faults: it does not use the fixture `nemesis`")

    def _start(self, options: list[str]) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "pytest", self._test, "-q", "-p", "no:cacheprovider", *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
        try:
            return subprocess.run(
                argv, env=environment, capture_output=True, text=True, timeout=_LONGEST_S, check=False, errors="replace"
            )
        except subprocess.TimeoutExpired as error:
            raise AirproofError(f"a run of {self._test!r} has taken longer than {_LONGEST_S:g} s") from error

    def _trouble(self, ended: subprocess.CompletedProcess[str]) -> AirproofError:
        lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
        if ended.returncode in {int(UsageError.exit_status), _NO_TESTS}:
            said = next((line for line in lines if line.startswith("ERROR")), "").removeprefix("ERROR: ")
            return UsageError(f"pytest cannot run {self._test!r}: {said or 'no such test'}")
        last = "\n".join(f"  {line}" for line in lines[-_SHOWN_LINES:])
        return AirproofError(f"pytest ended with status {ended.returncode} in a run of {self._test!r}:\n{last}")


def _failure(junit: Path) -> str:
    """The name of the first anomaly or error in JUnit's report, empty if no test failed.

    A test that fails at its end as well failed before.

    Raises:
        AirproofError: it failed before it began, so this says nothing about its schedule.
    """
    for case in ElementTree.parse(junit).iter("testcase"):
        for found in (*case.findall("failure"), *case.findall("error")):
            message = found.get("message", "")
            if message.startswith("failed on setup"):
                raise AirproofError(f"the test did not begin: {message}")
            text = message.removeprefix("failed on teardown with ").strip('"')
            if anomaly := _ANOMALY.match(text):
                return anomaly[1]
            return text.partition(":")[0].split("\n")[0].rpartition(".")[2].strip() or "Failed"
    return ""
