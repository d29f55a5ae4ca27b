from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airproof.errors import FaultNotObserved
from airproof.history import AppliedAction, History, HistoryFile, OpenFault, Redactor, WireEvent, read_history

BEGAN = 1000.0


def make_event(requested_at: float, replied_at: float | None = None, **others: Any) -> WireEvent:
    others = {"fields": {"sql": "COMMIT"}, "connection": 3, "number": 7, **others}
    return WireEvent(requested_at, replied_at, "billing-service", "postgres", "postgres", "commit", **others)


def make_history(path: Path | None = None) -> History:
    file: Callable[[Any], HistoryFile] | None = None
    if path:
        file = lambda header: HistoryFile(path, header=header, redactor=Redactor(["canary-1234"]))  # noqa: E731
    ticks = iter([BEGAN + number for number in range(100)])
    return History(file=file, clock=lambda: next(ticks))


def heal_unapplied(fault: OpenFault) -> None:
    fault.applied([])
    fault.healed("the rule is gone")


def test_what_crosses_a_link_is_on_the_timeline_of_the_history() -> None:
    history = make_history()
    with history.operation("pay"):
        pass
    history.crossed([make_event(BEGAN + 1.25, BEGAN + 1.5, outcome="COMMIT")])
    recording = history.recording()
    (event,) = recording.wire
    assert (event.requested_at, event.replied_at, event.outcome) == (1.25, 1.5, "COMMIT")
    assert recording.operations[0].invoked_at < event.requested_at < (recording.operations[0].completed_at or 0)


def test_events_are_in_the_order_of_their_requests_however_they_come() -> None:
    history = make_history()
    history.crossed([make_event(BEGAN + 3), make_event(BEGAN + 1)])
    history.crossed([make_event(BEGAN + 2)])
    assert [event.requested_at for event in history.recording().wire] == [1.0, 2.0, 3.0]


def test_an_exchange_told_again_with_its_reply_is_one_exchange() -> None:
    history = make_history()
    history.crossed([make_event(BEGAN + 1)])
    history.crossed([make_event(BEGAN + 1, BEGAN + 2, outcome="COMMIT")])
    (event,) = history.recording().wire
    assert event.outcome == "COMMIT"


def test_what_was_over_before_the_history_began_is_left_out() -> None:
    history = make_history()
    early, overlapping = make_event(BEGAN - 2, BEGAN - 1), make_event(BEGAN - 2, BEGAN + 1, number=8)
    history.crossed([early, overlapping])
    assert [event.number for event in history.recording().wire] == [8]


def test_a_reply_after_the_last_entry_prolongs_the_history() -> None:
    history = make_history()
    history.crossed([make_event(BEGAN + 1, BEGAN + 50)])
    assert history.recording().duration_s == 50


def test_a_file_gives_back_what_crossed_and_what_rules_did(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    history = make_history(path)
    event = make_event(BEGAN + 1.5, transaction=2)
    history.crossed([event, make_event(BEGAN + 1.75, BEGAN + 1.875, number=8, outcome="SELECT 1")])
    with history.fault("lost reply", "billing-service → postgres") as fault:
        fault.applied([AppliedAction(BEGAN + 1.625, "r1", "after", "lost reply", event, "COMMIT")])
        fault.healed("the rule is gone")
    history.close()
    read, recorded = read_history(path), history.recording()
    assert read.wire == recorded.wire
    assert read.faults[0].evidence == recorded.faults[0].evidence


def test_an_applied_action_is_evidence_at_the_time_at_which_it_was_done() -> None:
    history = make_history()
    with history.fault("lost reply", "billing-service → postgres") as fault:
        fault.applied([AppliedAction(BEGAN + 0.5, "r1", "after", "lost reply", make_event(BEGAN + 0.25))])
        fault.healed("the rule is gone")
    (evidence,) = history.recording().faults[0].evidence
    assert (evidence.at, evidence.what) == (0.5, "lost reply after commit billing-service → postgres")
    assert evidence.applied
    assert (evidence.applied.rule, evidence.applied.event.requested_at) == ("r1", 0.25)


def test_no_applied_action_is_no_evidence() -> None:
    with pytest.raises(FaultNotObserved), make_history().fault("lost reply", "x") as fault:
        heal_unapplied(fault)


def test_what_crossed_is_stored_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    history = make_history(path)
    event = make_event(BEGAN + 1, fields={"sql": "SELECT 'canary-1234'", "password": "hidden"})
    history.crossed([event])
    with history.fault("corrupted", "x") as fault:
        fault.applied([AppliedAction(BEGAN + 2, "r", "before", "corrupt", event, "token=hidden canary-1234")])
        fault.healed("gone")
    history.close()
    text = path.read_text(encoding="utf-8")
    assert "hidden" not in text
    assert "canary" not in text


def test_an_event_moved_to_an_origin_is_otherwise_the_same() -> None:
    event = make_event(BEGAN + 1, BEGAN + 2)
    assert replace(event.since(BEGAN), requested_at=event.requested_at, replied_at=event.replied_at) == event
