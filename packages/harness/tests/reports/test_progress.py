from __future__ import annotations

import io

import pytest
from rich.console import Console

from airproof.reports.progress import TerminalProgress


def make_progress(*, terminal: bool) -> tuple[TerminalProgress, io.StringIO]:
    written = io.StringIO()
    ticks = iter(float(second) for second in range(1000))
    console = Console(file=written, force_terminal=terminal, width=80, color_system=None)
    return TerminalProgress(console, clock=lambda: next(ticks)), written


def test_finished_steps_are_lines_where_there_is_no_terminal() -> None:
    progress, written = make_progress(terminal=False)
    with progress.show(), progress.step("cell"), progress.step("PostgreSQL"):
        pass
    assert written.getvalue().splitlines() == ["    ✓ PostgreSQL  1.00 s", "  ✓ cell  3.00 s"]


def test_steps_that_finished_before_are_shown_when_somebody_looks() -> None:
    progress, written = make_progress(terminal=False)
    with progress.step("Kafka"):
        pass
    assert written.getvalue() == ""
    with progress.show():
        assert "✓ Kafka" in written.getvalue()


def test_nothing_is_written_after_the_show() -> None:
    progress, written = make_progress(terminal=False)
    with progress.show():
        pass
    with progress.step("late"):
        pass
    assert written.getvalue() == ""


def test_a_failed_step_is_marked() -> None:
    progress, written = make_progress(terminal=False)
    with pytest.raises(KeyError), progress.show(), progress.step("Redis"):
        raise KeyError("x")
    assert "✗ Redis" in written.getvalue()


def test_a_terminal_shows_what_is_going_on() -> None:
    progress, written = make_progress(terminal=True)
    with progress.show(), progress.step("Kafka"):
        with progress.step("format"):
            pass
        assert [step.took_s is None for step in progress.steps] == [True, False]
    assert "✓ Kafka" in written.getvalue()
