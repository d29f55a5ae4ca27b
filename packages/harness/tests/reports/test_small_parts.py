"""Durations over runs, the report directory, the command that reproduces, the last look for secrets."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from airproof.cells import LogEntry
from airproof.errors import UsageError
from airproof.history import Redactor
from airproof.reports import durations, logfile, reproduce
from airproof.reports.directory import ReportDirectory
from airproof.reports.results import Outcome, TestResult
from airproof.reports.sweep import sweep

ID = "packages/suites-e2e/src/airproof_e2e/saga/test_x.py::test_step[a-b]"


def test_durations_are_kept_over_runs(tmp_path: Path) -> None:
    path = tmp_path / "durations.jsonl"
    for run, seconds in enumerate([1.0, 3.0, 2.0]):
        durations.append(path, [TestResult("a", Outcome.PASSED, {"setup": 0.5, "call": seconds})], run=str(run))
    durations.append(path, [TestResult("a", Outcome.FAILED, {"call": 99.0})], run="3")
    past = durations.read(path)["a"]
    assert past.median_s == 2.5
    assert past.outcomes == ("passed", "passed", "passed", "failed")


def test_old_runs_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "durations.jsonl"
    for run in range(durations.KEPT_RUNS + 5):
        durations.append(path, [TestResult("a", Outcome.PASSED)], run=str(run))
    assert len(durations.read(path)["a"].outcomes) == durations.KEPT_RUNS


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "durations.jsonl"
    durations.append(path, [TestResult("a", Outcome.PASSED)], run="1")
    path.write_text(path.read_text(encoding="utf-8") + '{"run": "2", "no', encoding="utf-8")
    assert durations.read(path)["a"].outcomes == ("passed",)


def test_a_run_gets_a_directory_of_its_own_while_another_uses_it(tmp_path: Path) -> None:
    first = ReportDirectory.claim(tmp_path / "local")
    second = ReportDirectory.claim(tmp_path / "local")
    assert (first.path.name, second.path.name) == ("local", "local-2")
    first.release()
    third = ReportDirectory.claim(tmp_path / "local")
    assert third.path.name == "local"
    for directory in (second, third):
        directory.release()


def test_a_new_run_removes_the_pages_of_the_last_one_and_nothing_else(tmp_path: Path) -> None:
    directory = ReportDirectory.claim(tmp_path / "local")
    mine = [directory.history("a::b"), directory.log("a::b"), directory.html, directory.ledger]
    other = directory.path / "notes.txt"
    for file in [*mine, other, directory.durations]:
        file.parent.mkdir(exist_ok=True)
        file.write_text("x", encoding="utf-8")
    directory.release()
    ReportDirectory.claim(tmp_path / "local").release()
    assert not [file for file in mine if file.exists()]
    assert other.exists()
    assert directory.durations.exists()


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot write reports"):
        ReportDirectory.claim(tmp_path / "file" / "local")


def test_a_full_disk_is_said_before_the_run(small_disk: Path) -> None:
    with pytest.raises(UsageError, match=r"^no space for reports in '.*/local': 16 MB needed, \d MB free; free some"):
        ReportDirectory.claim(small_disk / "local")


def test_tests_have_different_files_even_if_their_names_look_alike() -> None:
    directory = ReportDirectory(Path("r"))
    assert directory.history("t.py::a[x/y]") != directory.history("t.py::a[x-y]")
    assert len(directory.history("t.py::a[" + "x" * 999 + "]").name) < 150


def test_the_command_names_the_test_where_it_can_be_typed() -> None:
    here = Path("/project")
    line = reproduce.command(ID, environment="local", seed=7, session=None, rootdir=here, invoked_in=here)
    assert line == f"pytest --airproof-env=local '{ID}' --airproof-seed 7"


def test_in_a_nox_session_the_command_is_nox() -> None:
    here = Path("/project")
    line = reproduce.command(
        ID,
        environment="local",
        options=["--airproof-set=timeouts.test_s=5"],
        seed=7,
        session="e2e-local",
        rootdir=here,
        invoked_in=here,
    )
    assert line == f"nox -s e2e-local -- '{ID}' --airproof-seed 7 --airproof-set=timeouts.test_s=5"


def test_a_test_of_an_installed_suite_is_found_by_its_name() -> None:
    nodeid = "../venv/lib/site-packages/airproof_e2e/saga/test_x.py::test_step[a-b]"
    here = Path("/project")
    line = reproduce.command(nodeid, environment="local", seed=7, session=None, rootdir=here, invoked_in=here)
    assert line == "pytest --airproof-env=local --pyargs airproof_e2e -k 'test_step[a-b]' --airproof-seed 7"


def test_files_of_others_are_redacted_in_their_own_format(tmp_path: Path) -> None:
    xml, result, text, clean, binary = (tmp_path / name for name in ("j.xml", "r.json", "a.txt", "c.txt", "b.png"))
    xml.write_text('<a message="token=canary-1234"><b>see "canary-1234"</b></a>', encoding="utf-8")
    result.write_text(json.dumps({"trace": 'password="canary-1234', "steps": [1]}), encoding="utf-8")
    text.write_text("X-API-Key: other", encoding="utf-8")
    clean.write_text("nothing", encoding="utf-8")
    binary.write_bytes(b"\x89\xff canary-1234")
    swept = sweep([xml, result, text, clean, binary, tmp_path / "missing"], Redactor(["canary-1234"]))
    assert swept == [xml, result, text]
    root = ElementTree.parse(xml).getroot()
    assert root.get("message") == "token=[redacted]"
    assert json.loads(result.read_text(encoding="utf-8"))["steps"] == [1]
    assert "canary" not in xml.read_text(encoding="utf-8") + result.read_text(encoding="utf-8")


def test_a_secret_is_found_however_its_file_writes_it(tmp_path: Path) -> None:
    secret = "pa<ss&word1"
    whole, cut = tmp_path / "j.xml", tmp_path / "cut.json"
    whole.write_text("<a><b>pa&lt;ss&amp;word1</b></a>", encoding="utf-8")
    cut.write_text(f'{{"x": "{secret}', encoding="utf-8")
    assert sweep([whole, cut], Redactor([secret])) == [whole, cut]
    assert ElementTree.parse(whole).findtext("b") == "[redacted]"
    assert secret not in cut.read_text(encoding="utf-8")


def test_letters_that_no_encoding_has_and_loggers_with_blanks_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    logfile.append(path, [LogEntry("a", 1.0, "error", "my logger", "bad \ud800")], began_at=0.0, redactor=Redactor())
    (line,) = logfile.read(path)
    assert (line.level, line.logger, line.text) == ("error", "my_logger", "bad \\ud800")
