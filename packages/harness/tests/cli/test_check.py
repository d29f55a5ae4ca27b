from __future__ import annotations

from pathlib import Path

import pytest

from airproof.checkers.expectation import Expectation
from airproof.checkers.readouts import ReadOut, keep, keep_verdict
from airproof.cli import main
from airproof.errors import ExitStatus
from airproof.history import History, HistoryFile, Redactor
from airproof.platform.manifest import Saga, Step
from airproof.platform.observation import SagaObservation, SagaReadout, SagaState

TRIP = Saga("trip", "desk", (Step("book", "cars", "car", "made"),), "book", "started", "completed", "failed", "undone")


def write_history(path: Path, *, stray_saga: bool) -> Path:
    """The history of a tenant who started nothing."""
    history = History(
        {"test": f"suite/t.py::{path.stem}"}, file=lambda h: HistoryFile(path, header=h, redactor=Redactor())
    )
    stray = SagaReadout("s9", SagaState.COMPLETED, "c9", "t1", ())
    observation = SagaObservation("t1", (stray,) if stray_saga else (), (), (), (), (), ())
    readout = ReadOut(TRIP, observation, Expectation(()))
    keep(history, readout)
    keep_verdict(history, readout.judge())
    history.close()
    return path


def test_a_valid_history_is_said_to_be_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_history(tmp_path / "calm.jsonl", stray_saga=False)
    assert main(["check", str(path)]) == ExitStatus.OK
    assert capsys.readouterr().out == "valid   t.py::calm\n1 history: 1 valid\n"


def test_all_histories_of_a_report_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_history(tmp_path / "histories" / "calm.jsonl", stray_saga=False)
    write_history(tmp_path / "histories" / "stray.jsonl", stray_saga=True)
    (tmp_path / "durations.jsonl").write_text("{}\n", encoding="utf-8")
    assert main(["check", str(tmp_path)]) == ExitStatus.FAILED
    printed = capsys.readouterr().out
    assert "invalid t.py::stray\n  [SAGA/" in printed
    assert printed.endswith("2 histories: 1 valid, 1 invalid\n")


def test_a_verdict_that_changed_says_what_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_history(tmp_path / "calm.jsonl", stray_saga=False)
    text = path.read_text(encoding="utf-8").replace('"validity": "valid"', '"validity": "invalid"')
    path.write_text(text, encoding="utf-8")
    assert main(["check", str(path)]) == ExitStatus.OK
    assert "valid   t.py::calm (was invalid)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_where_there_is_no_history_is_said_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / name)]) == ExitStatus.USAGE
    assert capsys.readouterr().err.startswith("airproof: no history at ")
