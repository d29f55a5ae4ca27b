from __future__ import annotations

from datetime import datetime

import pytest

from airproof.cells import Finding, LogEntry, describe, unexplained
from airproof.history import Explanation, FaultRecord, Recording
from airproof.supervision.specs import ProcessEvent

BEGAN = 1000.0
HEADER = {"began": "2026-01-01T00:00:00+00:00"}
WALL = datetime.fromisoformat(HEADER["began"]).timestamp()


def recording(*explanations: Explanation, started_at: float = 1.0, ended_at: float | None = 3.0) -> Recording:
    fault = FaultRecord(1, "killed", "auth", started_at, ended_at, True, explanations, (), "back")
    return Recording(HEADER, (), (fault,) if explanations else (), (), 10.0)


def exit_at(seconds: float, *, requested: bool = True, node: str = "auth") -> ProcessEvent:
    return ProcessEvent(1, f"c1/{node}", "c1", 1, -9, requested, BEGAN + seconds)


def error_at(seconds: float | None, logger: str = "aiokafka.conn", message: str = "connection refused") -> LogEntry:
    return LogEntry("auth", None if seconds is None else WALL + seconds, "error", logger, message)


def judge(given: Recording, *, exits: tuple[ProcessEvent, ...] = (), lines: tuple[LogEntry, ...] = ()) -> list[Finding]:
    return unexplained(given, exits, lines, began=BEGAN)


@pytest.mark.parametrize("requested", [True, False])
def test_an_exit_without_a_fault_is_a_finding(requested: bool) -> None:
    (finding,) = judge(recording(), exits=(exit_at(2, requested=requested),))
    assert "SIGKILL" in str(finding)


def test_an_exit_is_explained_while_its_fault_is_in_force() -> None:
    given = recording(Explanation("auth", exits=True))
    assert not judge(given, exits=(exit_at(2),))
    assert judge(given, exits=(exit_at(0.5),))
    assert judge(given, exits=(exit_at(4),))
    assert judge(given, exits=(exit_at(2, node="users"),))


def test_an_exit_is_not_explained_by_a_fault_that_explains_only_errors() -> None:
    assert judge(recording(Explanation("*", logger="*")), exits=(exit_at(2),))


def test_an_error_is_explained_from_the_beginning_of_its_fault_on() -> None:
    given = recording(Explanation("*", logger="aiokafka.*"))
    assert not judge(given, lines=(error_at(2), error_at(9), error_at(None)))
    assert judge(given, lines=(error_at(0.2),))


@pytest.mark.parametrize(
    "explanation",
    [
        Explanation("users", logger="*"),
        Explanation("auth", logger="sqlalchemy*"),
        Explanation("auth", exits=True),
        Explanation("auth", logger="*", message="*timed out*"),
    ],
)
def test_an_error_is_not_explained_by_another_explanation(explanation: Explanation) -> None:
    assert judge(recording(explanation), lines=(error_at(2),))


def test_warnings_are_no_findings() -> None:
    assert not judge(recording(), lines=(LogEntry("auth", WALL, "warning", "app", "retrying"),))


def test_the_message_begins_with_the_first_finding_and_lists_all() -> None:
    given = recording()
    text = describe(judge(given, exits=(exit_at(2),), lines=(error_at(2),)), given)
    first, *others = text.splitlines()
    assert first == "no declared fault explains that auth was stopped by the harness with SIGKILL (and 1 more)"
    assert "[aiokafka.conn] connection refused (at 2.000 s)" in others[1]
    assert others[-1].endswith("none")
