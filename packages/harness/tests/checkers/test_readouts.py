from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airproof.checkers.readouts import ReadOut, judge_again, keep, keep_verdict, verdict_then
from airproof.checkers.reads import CachedReads, Invalidation, Read
from airproof.checkers.streams import Attempt, EntityStream
from airproof.checkers.verdict import Anomaly, Validity, Verdict
from airproof.history import History, HistoryFile, Recording, Redactor, read_history
from airproof.platform.observation import Snapshot, StoredEvent, Update, UpdateOutcome

Names = Callable[[Verdict], set[str]]


class Kept:
    """A history in a file, closed and read again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History(file=lambda header: HistoryFile(path, header=header, redactor=Redactor(["canary-1234"])))

    def read(self) -> Recording:
        self.history.close()
        return read_history(self.path)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "one.jsonl")


@pytest.mark.parametrize("name", ["completed", "compensated", "failed"])
def test_what_was_valid_is_valid_again(name: str, kept: Kept, request: pytest.FixtureRequest) -> None:
    readout: ReadOut = request.getfixturevalue(name).readout()
    keep(kept.history, readout)
    keep_verdict(kept.history, readout.judge())
    recording = kept.read()
    assert verdict_then(recording) is Validity(readout.judge().validity)
    assert str(judge_again(recording)) == str(readout.judge())


def test_what_is_read_from_a_file_is_what_was_kept(completed: Any, kept: Kept) -> None:
    readout = completed.readout()
    completed.effects.pop()
    broken = completed.readout()
    keep(kept.history, broken)
    assert str(judge_again(kept.read())) == str(broken.judge())
    assert str(broken.judge()) != str(readout.judge())


def test_secrets_of_the_expectation_are_not_written(completed: Any, kept: Kept) -> None:
    keep(kept.history, completed.readout(secrets=("hunter22secret",)))
    kept.history.close()
    assert "hunter22secret" not in kept.path.read_text(encoding="utf-8")


def test_what_only_the_scenario_saw_counts_again(completed: Any, kept: Kept, names: Names) -> None:
    readout = completed.readout()
    seen = Anomaly("SAGA", "never-quiet", "after a while nothing moves any more", "a quiet cell", "an outbox")
    keep(kept.history, readout)
    keep_verdict(kept.history, readout.judge(), of_scenario=[seen])
    assert names(judge_again(kept.read())) == {"SAGA/never-quiet"}


def test_a_history_without_read_outs_is_unknown(kept: Kept) -> None:
    kept.history.note("something else")
    verdict = judge_again(kept.read())
    assert verdict.validity is Validity.UNKNOWN
    assert "no read-out" in verdict.why_unknown


def test_a_read_out_of_another_version_is_unknown(kept: Kept) -> None:
    kept.history.note("read-out of t1", observation={"tenant_id": "t1"})
    verdict = judge_again(kept.read())
    assert verdict.validity is Validity.UNKNOWN
    assert "read-out of t1 cannot be read by these checkers" in verdict.why_unknown


def test_a_required_fault_without_evidence_makes_it_unknown(completed: Any, kept: Kept) -> None:
    keep(kept.history, completed.readout())
    with pytest.raises(KeyError), kept.history.fault("killed", "desk"):
        raise KeyError("the test's own")
    verdict = judge_again(kept.read())
    assert verdict.validity is Validity.UNKNOWN
    assert "killed of 'desk' was required and left no evidence" in verdict.why_unknown


READ = Read("r1", 1.0, 1.5, 1, "a")
CREATED = StoredEvent("things", "e1", "thing.created", "1", 1, "t1", "c1")


@pytest.mark.parametrize(
    "readout",
    [
        CachedReads("thing 1", (READ,), (), {1: "a"}),
        CachedReads("thing 1", (READ,), (Invalidation(2, 0.9),), {1: "a", 2: "b"}, stale_s=0.05),
        EntityStream("thing 1", (CREATED,), (), Snapshot("1", 1, "a")),
        EntityStream("thing 1", (CREATED,), (Attempt(1, "b", Update(UpdateOutcome.DONE), "k"),), None),
    ],
    ids=["fresh read", "stale read", "stream", "lost update"],
)
def test_reads_and_streams_are_judged_again_as_they_were(readout: CachedReads | EntityStream, kept: Kept) -> None:
    keep(kept.history, readout)
    keep_verdict(kept.history, readout.judge())
    assert str(judge_again(kept.read())) == str(readout.judge())


def test_all_read_outs_of_a_history_count(kept: Kept, names: Names) -> None:
    keep(kept.history, CachedReads("thing 1", (READ,), (), {1: "a"}))
    keep(kept.history, CachedReads("thing 2", (READ,), (), {}))
    keep(kept.history, EntityStream("thing 1", (CREATED,), (), None))
    assert names(judge_again(kept.read())) == {"CACHE/never-written", "ES/state-differs"}


def test_a_read_out_of_a_kind_that_is_not_known_is_unknown(kept: Kept) -> None:
    kept.history.note("read-out of thing 1", kind="projection")
    verdict = judge_again(kept.read())
    assert verdict.validity is Validity.UNKNOWN
    assert "'projection'; these checkers know sagas, cached reads, stream" in verdict.why_unknown
