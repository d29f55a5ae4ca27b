from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airproof.environment.capabilities import LogLine
from airproof_e2e.saga.log_lines import ill_written

NOW = datetime.now(UTC)
SERVICES = {"desk": "desk", "desk.2": "desk"}
LINE = {
    "ts": NOW.isoformat(),
    "level": "info",
    "logger": "x",
    "service": "desk",
    "instance": "1",
    "message": "done",
    "correlation_id": "",
}


def flaws(*lines: LogLine) -> list[str]:
    return [one.name for one in ill_written(lines, SERVICES, NOW)]


def line(node: str = "desk", **told: object) -> LogLine:
    return LogLine(node, json.dumps({**LINE, **told}))


def test_lines_that_say_when_who_and_what_are_right() -> None:
    assert flaws(line(), line("desk.2", instance="2"), line(message="")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"ts": "soon"},
        {"ts": None},
        {"ts": NOW.replace(tzinfo=None).isoformat()},
        {"ts": (NOW - timedelta(hours=1)).isoformat()},
        {"level": None},
        {"service": "another"},
        {"instance": 1},
    ],
)
def test_a_line_that_does_not_is_found(wrong: dict[str, object]) -> None:
    assert flaws(line(), LogLine("desk", json.dumps({**LINE, **wrong}))) == ["not-to-be-collected"]


def test_what_is_no_object_is_found_unless_a_kill_has_cut_it_off() -> None:
    assert flaws(line(), LogLine("desk", "started")) == ["not-to-be-collected"]
    assert flaws(line(), LogLine("desk", '{"ts": "20')) == []


def test_two_instances_of_one_name_are_found() -> None:
    assert flaws(line(), line("desk.2")) == ["not-told-apart"]


def test_what_looks_like_an_object_and_is_none_is_wrong_and_what_a_kill_has_cut_off_is_not() -> None:
    assert flaws(LogLine("desk", str(LINE))) == ["not-to-be-collected"]
    assert flaws(LogLine("desk", json.dumps(LINE)[:-20])) == []
