from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from airproof.errors import FaultNotHealed, FaultNotObserved, UsageError
from airproof.history import Explanation, History, HistoryFile, Outcome, Redactor, read_history


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Thing:
    colour: Colour
    parts: tuple[int, ...]


def to_file(path: Path, *secrets: str) -> Callable[[Any], HistoryFile]:
    return lambda header: HistoryFile(path, header=header, redactor=Redactor(secrets))


def test_operations_have_an_outcome_and_two_times() -> None:
    ticks = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    history = History(clock=lambda: next(ticks))
    with history.operation("start", client="a", args={"thing": Thing(Colour.RED, (1, 2))}) as operation:
        operation.ok({"id": 7})
    with history.operation("start", client="b") as operation:
        operation.fail("refused")
    with history.operation("read"):
        pass
    first, second, third = history.recording().operations
    assert (first.process, first.name, first.outcome, first.result) == ("a", "start", Outcome.OK, {"id": 7})
    assert (first.invoked_at, first.completed_at) == (1.0, 2.0)
    assert first.args == {"thing": {"colour": "red", "parts": [1, 2]}}
    assert (second.outcome, second.result) == (Outcome.FAIL, "refused")
    assert (third.outcome, third.process) == (Outcome.OK, "test")


def test_an_operation_left_by_an_exception_is_unknown() -> None:
    history = History()
    with pytest.raises(TimeoutError), history.operation("start"):
        raise TimeoutError("no answer")
    (operation,) = history.recording().operations
    assert (operation.outcome, operation.result) == (Outcome.INFO, "TimeoutError: no answer")


def test_an_operation_that_has_not_returned_is_unknown() -> None:
    history = History()
    with history.operation("start"):
        (operation,) = history.recording().operations
    assert (operation.outcome, operation.completed_at) == (Outcome.INFO, None)


def test_the_first_outcome_counts() -> None:
    history = History()
    with history.operation("start") as operation:
        operation.info("lost")
        operation.ok("late")
    assert history.recording().operations[0].outcome is Outcome.INFO


def test_a_fault_keeps_its_evidence_and_what_it_explains() -> None:
    history = History()
    explanation = Explanation("auth-service", logger="app.*", exits=True)
    with history.fault("killed", "auth-service", explains=[explanation], why="test") as fault:
        fault.evidence("gone", exit_code=-9)
        fault.healed("ready again")
    (record,) = history.recording().faults
    assert (record.kind, record.target, record.facts) == ("killed", "auth-service", {"why": "test"})
    assert record.evidence[0].facts == {"exit_code": -9}
    assert record.explains == (explanation,)
    assert record.ended_at is not None
    assert not history.recording().unhealed()


def test_a_required_fault_without_evidence_proves_nothing() -> None:
    history = History()
    with pytest.raises(FaultNotObserved, match="killed of 'x'"), history.fault("killed", "x") as fault:
        fault.healed("ready")


def test_a_preventable_fault_may_leave_no_evidence() -> None:
    with History().fault("held", "x", required=False) as fault:
        fault.healed("never held")


def test_a_fault_must_heal() -> None:
    history = History()
    with pytest.raises(FaultNotHealed, match="killed of 'x'"), history.fault("killed", "x") as fault:
        fault.evidence("gone")
    assert [record.target for record in history.recording().unhealed()] == ["x"]


def test_a_failing_test_is_not_hidden_by_its_fault() -> None:
    with pytest.raises(KeyError), History().fault("killed", "x"):
        raise KeyError("the test's own")


def test_a_file_reads_back_as_it_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.jsonl"
    history = History({"test": "t", "seed": 5}, file=to_file(path))
    with history.operation("start", client="a", args={"x": [1, "é"]}) as operation:
        operation.ok()
    with history.fault("killed", "n", explains=[Explanation("n")]) as fault:
        fault.evidence("gone")
        fault.healed("back")
    history.note("read-out", client="a", rows=3)
    history.close()
    read, recorded = read_history(path), history.recording()
    assert read.header == recorded.header
    assert [one.name for one in read.operations] == ["start"]
    assert read.faults[0].explains == recorded.faults[0].explains
    assert read.notes[0].facts == {"rows": 3}


def test_what_was_said_may_hold_any_separator_of_lines(tmp_path: Path) -> None:
    path, said = tmp_path / "one.jsonl", "a\u2028b\x85c\r\nd"
    history = History(file=to_file(path))
    with history.operation("say") as operation:
        operation.ok(said)
    history.close()
    assert [one.result for one in read_history(path).operations] == [said]


def test_a_file_holds_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    history = History(file=to_file(path, "canary-1234"))
    with history.operation("login", args={"password": "hidden", "note": "xx canary-1234 xx"}) as operation:
        operation.ok({"access_token": "hidden"})
    history.close()
    text = path.read_text(encoding="utf-8")
    assert "hidden" not in text
    assert "canary" not in text


def test_a_file_cut_off_by_a_crash_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    history = History(file=to_file(path))
    with history.operation("start"):
        path.write_bytes(path.read_bytes() + '{"entry": "ok", "at": "€'.encode()[:-1])
        (operation,) = read_history(path).operations
    history.close()
    assert operation.outcome is Outcome.INFO


@pytest.mark.parametrize(
    "content", [b"", b"[]\n", b"{}\n", b'{"format": 99}\n', b"no json\n", b'{"format": 1}\n{"entry": 1}\n', b"\xff\n"]
)
def test_what_is_no_history_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a history") as caught:
        read_history(path)
    assert "\n" not in str(caught.value)


def test_threads_may_record_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    history = History(file=to_file(path))
    together = Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for turn in range(50):
            with history.operation("turn", client=f"c{number}", args={"turn": turn}) as operation:
                operation.ok(turn)

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history.close()
    operations = read_history(path).operations
    assert len(operations) == 400
    assert all(operation.result == operation.args["turn"] for operation in operations)
