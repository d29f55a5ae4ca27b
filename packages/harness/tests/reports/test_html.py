from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airproof.cells import LogEntry
from airproof.history import Explanation, History, HistoryFile, Redactor
from airproof.history.plain import plain
from airproof.reports import html, ledger, logfile
from airproof.reports.directory import ReportDirectory
from airproof.reports.durations import Past
from airproof.reports.html import RunFacts
from airproof.reports.results import Outcome, TestResult

FACTS = RunFacts("local", "fake", "native", 7, "2026-01-01 10:00:00", 12.5, 2, sources={"Kafka": "a wheel"})
NODEID = "tests/saga/test_registration.py::test_step[refused-<b>profile</b>]"


class Page:
    """A written report."""

    def __init__(self, path: Path, tests: list[TestResult], facts: RunFacts = FACTS) -> None:
        self.path = path / "report.html"
        covered = ledger.build(tests)
        past = {NODEID: Past(0.5, ("passed", "failed"))}
        html.write(self.path, facts, tests, covered, redactor=Redactor(["canary-1234"]), past=past)
        self.text = self.path.read_text(encoding="utf-8")

    def details(self, number: int = 0) -> Any:
        packed = re.findall(r'<script type="application/json\+gzip">(.*?)</script>', self.text)[number]
        return json.loads(gzip.decompress(base64.b64decode(packed)))


def record(directory: ReportDirectory, nodeid: str, *, lines: int = 3) -> TestResult:
    """A test with a history and logs, as the plugin leaves it."""
    path = directory.history(nodeid)
    history = History({"test": nodeid}, file=lambda header: HistoryFile(path, header=header, redactor=Redactor()))
    with history.operation("start", client="client-1", args={"subject": "a@b"}) as operation:
        operation.ok({"saga": 1})
    with history.fault("killed", "auth-service", explains=[Explanation("auth-service", exits=True)]) as fault:
        fault.evidence("exited", exit_code=-9)
        fault.healed("ready again")
    history.close()
    log = directory.log(nodeid)
    entries = [LogEntry("auth-service", number / 100, "info", "app", f"line {number}") for number in range(lines)]
    logfile.append(log, entries, began_at=0.0, redactor=Redactor())
    properties = {
        "promise": ["A refused step is <undone>"],
        "covers": ["SAGA-1"],
        "history": [str(path.relative_to(directory.path))],
        "logs": [str(log.relative_to(directory.path))],
        "reproduce": ["pytest x"],
    }
    return TestResult(nodeid, Outcome.PASSED, {"setup": 0.1, "call": 0.4, "teardown": 0.0}, properties=properties)


@pytest.fixture
def directory(tmp_path: Path) -> ReportDirectory:
    return ReportDirectory(tmp_path)


def test_a_property_shows_no_secret(directory: ReportDirectory) -> None:
    test = record(directory, NODEID)
    test.properties["reproduce"] = ["pytest --airproof-set=x.password=hunter2"]
    assert Page(directory.path, [test]).details()["properties"]["reproduce"] == [
        "pytest --airproof-set=x.password=[redacted]"
    ]


@pytest.mark.parametrize(("value", "shown"), [(0.5, "500 ms"), (119.0, "119.0 s"), (179.7, "3 min 0 s")])
def test_a_duration_is_rounded_once(value: float, shown: str) -> None:
    assert html.seconds(value) == shown


def test_a_number_that_json_does_not_have_is_a_text() -> None:
    assert plain({"x": [float("nan"), float("inf"), 1.5]}) == {"x": ["nan", "inf", 1.5]}


def test_a_damaged_history_costs_no_more_than_itself(directory: ReportDirectory) -> None:
    test = record(directory, NODEID)
    directory.history(NODEID).write_bytes(b"\xff\n")
    details = Page(directory.path, [test]).details()
    assert details["history"] is None
    ((heading, text),) = details["sections"]
    assert (heading, "is not a history" in text) == ("history", True)


def test_a_test_is_shown_with_all_that_happened(directory: ReportDirectory) -> None:
    page = Page(directory.path, [record(directory, NODEID)])
    details = page.details()
    assert details["history"]["operations"][0]["name"] == "start"
    assert details["history"]["faults"][0]["evidence"][0]["what"] == "exited"
    assert details["logs"][1] == [0.01, "info", "auth-service", "app", "line 1"]
    assert details["properties"]["reproduce"] == ["pytest x"]
    assert details["before"] == {"median_s": 0.5, "outcomes": ["passed", "failed"]}
    assert "killed auth-service" in page.text


def test_names_are_escaped(directory: ReportDirectory) -> None:
    text = Page(directory.path, [record(directory, NODEID)]).text
    assert "A refused step is &lt;undone&gt;" in text
    assert "<b>profile" not in text


def test_it_refers_to_nothing_outside(directory: ReportDirectory) -> None:
    text = Page(directory.path, [record(directory, NODEID)]).text
    assert not re.findall(r"https?://|//cdn|@import|url\(", text)
    assert not re.findall(r"<(?:link|img|iframe)\b|<script[^>]+src=", text)


def test_secrets_are_taken_out_of_failures(directory: ReportDirectory) -> None:
    test = record(directory, NODEID)
    test.outcome, test.failure = Outcome.FAILED, "assert 'canary-1234' == 'password=hunter22'"
    test.sections = [("Captured stdout call", "Authorization: Bearer abcdefghijklmnop")]
    page = Page(directory.path, [test])
    shown = page.text + json.dumps(page.details())
    assert not [secret for secret in ("canary-1234", "hunter22", "abcdefghijklmnop") if secret in shown]


def test_red_tests_come_first(directory: ReportDirectory) -> None:
    tests = [TestResult("t.py::a", Outcome.PASSED), TestResult("t.py::b", Outcome.ERROR, failure="broken")]
    page = Page(directory.path, tests)
    assert page.details(0)["failure"] == "broken"
    assert "1 of 2 scenarios is red" in page.text


def test_stand_ins_are_marked(directory: ReportDirectory) -> None:
    facts = RunFacts("local", "fake", "native", 7, "now", 1, 1, sources={"Kafka": "noida"}, stand_ins=("Kafka",))
    assert "Stand-in, not the real product: Kafka" in Page(directory.path, [], facts).text


def test_loud_lines_are_kept_when_there_are_too_many(directory: ReportDirectory) -> None:
    test = record(directory, NODEID, lines=0)
    entries = [LogEntry("a", number / 1000, "info", "app", str(number)) for number in range(2000)]
    entries[5] = LogEntry("a", 0.005, "warning", "app", "loud")
    logfile.append(directory.log(NODEID), entries, began_at=0.0, redactor=Redactor())
    details = Page(directory.path, [test]).details()
    assert details["log_lines"] == 2000
    assert len(details["logs"]) == 300
    assert details["logs"][0][4] == "loud"
    assert details["logs"][-1][4] == "1999"


def test_families_gather_the_tests_of_one_function() -> None:
    tests = [
        TestResult("t.py::a[1]", Outcome.PASSED, {"call": 1.0}, properties={"family_promise": ["It holds"]}),
        TestResult("t.py::a[2]", Outcome.FAILED, {"call": 2.0}),
        TestResult("t.py::b", Outcome.SKIPPED),
        TestResult("t.py::a[3]", Outcome.PASSED, properties={"family": ["named"]}),
    ]
    first, second, third = html.families(tests)
    assert (third.name, third.where, len(third.tests)) == ("named", "t.py::a", 1)
    assert (first.promise, first.count("passed"), first.count("failed"), first.duration_s) == ("It holds", 1, 1, 3.0)
    assert second.count("skipped") == 1


def test_a_log_file_reads_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    entries = [
        LogEntry("auth", 10.5, "error", "app.db", "no | pipe", "x=1\nTraceback\n  File y"),
        LogEntry("kafka", None, "", "", "plain"),
    ]
    logfile.append(path, entries, began_at=10.0, redactor=Redactor())
    first, second = logfile.read(path)
    assert (first.at, first.level, first.node, first.logger) == (0.5, "error", "auth", "app.db")
    assert first.text == "no | pipe x=1\nTraceback\n  File y"
    assert (second.at, second.level, second.node, second.text) == (None, "", "kafka", "plain")
