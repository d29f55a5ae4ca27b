"""A run is judged by its exit status and its JUnit file, and nothing that did not run counts as caught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airproof.cli import main
from airproof.errors import ExitStatus
from airproof_defects.prove import Outcome, Row, Run, Subject, judge, write_proof

RED = """<testsuites><testsuite><testcase name="happy"/><testcase name="refused"><failure message="verdict">
[SAGA/effect-remains] a failed saga leaves nothing behind
  expected: none
  seen: 1
[OUTBOX/ghost] no event without a commit
</failure></testcase></testsuite></testsuites>"""
GREEN = '<testsuites><testsuite><testcase name="happy"/></testsuite></testsuites>'
EMPTY = "<testsuites><testsuite/></testsuites>"


def keep(package: Path) -> None:
    """Changes nothing: the judge only asks whether there is a change."""


def verdict_of(tmp_path: Path, *, status: int, junit: str | None, healthy: bool = False) -> Row:
    file = tmp_path / "junit.xml"
    if junit is not None:
        file.write_text(junit)
    log = tmp_path / "pytest.log"
    log.write_text("starting\nERROR: nothing could start\n")
    return judge(Subject("X", "a bug", "SAGA", None if healthy else keep), status, file, log, 1.0)


def test_a_red_scenario_catches_the_defect_and_names_whom_it_blames(tmp_path: Path) -> None:
    row = verdict_of(tmp_path, status=1, junit=RED)
    assert (row.outcome, row.blamed, row.scenarios) == (Outcome.CAUGHT, ("SAGA", "OUTBOX"), ("refused",))
    assert row.message == "a failed saga leaves nothing behind"


def test_a_green_run_misses_the_defect(tmp_path: Path) -> None:
    assert verdict_of(tmp_path, status=0, junit=GREEN).outcome is Outcome.MISSED


def test_the_healthy_platform_must_be_green(tmp_path: Path) -> None:
    assert verdict_of(tmp_path, status=0, junit=GREEN, healthy=True).outcome is Outcome.GREEN
    assert verdict_of(tmp_path, status=1, junit=RED, healthy=True).outcome is Outcome.RED


@pytest.mark.parametrize(
    ("status", "junit"), [(4, None), (5, EMPTY), (0, EMPTY), (1, GREEN), (1, "<truncated"), (3, RED), (2, GREEN)]
)
def test_a_run_that_did_not_finish_proves_nothing(tmp_path: Path, status: int, junit: str | None) -> None:
    row = verdict_of(tmp_path, status=status, junit=junit)
    assert row.outcome is Outcome.BROKEN
    assert not row.good
    assert row.message == "ERROR: nothing could start"


def row_of(subject: str, outcome: Outcome, *, blamed: tuple[str, ...] = ("SAGA",)) -> Row:
    return Row(subject, "a bug", "SAGA", outcome, blamed, ("test_known",), "", 1.0)


def runs_of(
    monkeypatch: pytest.MonkeyPatch, seen_by: str, *outcomes: Outcome, blamed: tuple[str, ...] = ("SAGA",)
) -> tuple[list[str], Row]:
    """Which scenarios are run, `-k`'s or all of them, when the runs end so, and what comes of it."""
    chosen, ends = [], iter(outcomes)

    def run(_: Run, subject: Subject, began: float, *options: str) -> Row:
        chosen.append(options[options.index("-k") + 1] if "-k" in options else "all")
        return row_of(subject.name, next(ends), blamed=blamed)

    monkeypatch.setattr(Run, "_run", run)
    row = Run("local", workers=2, stop_after=1, report=Path()).prove(Subject("X", "a bug", "SAGA", keep, seen_by))
    return chosen, row


def test_who_is_known_to_see_a_defect_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, row = runs_of(monkeypatch, "test_known", Outcome.CAUGHT)
    assert (chosen, row.outcome) == (["test_known"], Outcome.CAUGHT)


@pytest.mark.parametrize("end", [Outcome.MISSED, Outcome.BROKEN])
def test_all_run_when_that_sees_nothing_or_is_gone(monkeypatch: pytest.MonkeyPatch, end: Outcome) -> None:
    chosen, row = runs_of(monkeypatch, "test_known", end, Outcome.CAUGHT)
    assert (chosen, row.outcome) == (["test_known", "all"], Outcome.CAUGHT)


def test_all_run_when_that_is_red_without_naming_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, _ = runs_of(monkeypatch, "test_known", Outcome.CAUGHT, Outcome.CAUGHT, blamed=())
    assert chosen == ["test_known", "all"]


def test_all_run_when_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, row = runs_of(monkeypatch, "", Outcome.MISSED)
    assert (chosen, row.outcome) == (["all"], Outcome.MISSED)


def test_a_proof_of_one_defect_keeps_what_was_proven_of_others(tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_text("[{", encoding="utf-8")
    write_proof([row_of("SG01", Outcome.MISSED), row_of("SG02", Outcome.CAUGHT)], file)
    write_proof([row_of("SG01", Outcome.CAUGHT)], file)
    proven = {row["subject"]: row["outcome"] for row in json.loads(file.read_text(encoding="utf-8"))}
    assert proven == {"SG01": "caught", "SG02": "caught"}
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("argument", ["--patsch=x.diff", "--workers=two"])
def test_a_wrong_option_is_one_line(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", argument]) == ExitStatus.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("airproof: prove: ")
