from __future__ import annotations

import logging

import pytest

from pyairtable_reference.kit.logs import Restraint


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def record(logger: str, line: int) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.ERROR, "client.py", line, "cannot connect to %s", ("it",), None)


def test_what_a_library_says_again_within_a_second_is_left_out(clock: list[float]) -> None:
    restraint = Restraint("library")
    assert restraint.filter(record("library.client", 7))
    clock[0] += 0.9
    assert not restraint.filter(record("library.client", 7))
    assert restraint.filter(record("library.client", 8)), "it says something else"
    clock[0] += 0.2
    assert restraint.filter(record("library.client", 7)), "a second later"


@pytest.mark.usefixtures("clock")
def test_others_may_say_the_same_as_often_as_they_like() -> None:
    restraint = Restraint("library")
    assert all(restraint.filter(record("services.orders", 7)) for _ in range(3))
