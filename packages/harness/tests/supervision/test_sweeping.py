from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from airproof.supervision import Supervisor, client, runs, sweeping
from airproof.supervision.runs import Run
from airproof.supervision.sweeping import sweep


def kill(supervisor: Supervisor) -> None:
    assert supervisor._launched
    supervisor._launched.process.kill()
    supervisor._launched.process.wait(10)
    supervisor.close()


@pytest.mark.parametrize("memory", [runs.MEMORY, Path("/none")], ids=["in memory", "on disk"])
def test_the_next_start_removes_what_a_killed_supervisor_left(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: Path
) -> None:
    monkeypatch.setattr(runs, "MEMORY", memory)
    first = Supervisor.start(label="first")
    directory = first.make_directory("cell", "a", room_mb=0)
    first.on_release("cell", ["touch", str(tmp_path / "undone")])
    kill(first)
    assert directory.exists()

    with Supervisor.start(label="second") as second:
        assert (second.swept.runs, second.swept.failures) == (["first"], [])

    assert not directory.parent.exists()
    assert (tmp_path / "undone").exists()
    assert not first.run_directory.exists()


def test_what_a_run_left_is_removed_though_nothing_can_be_written(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    first = Supervisor.start(label="first")
    kill(first)
    monkeypatch.setattr(sweeping, "write_undo", no_space)
    assert sweep().failures == []
    assert not first.run_directory.exists()


def test_a_kept_run_that_is_dead_and_just_being_swept_is_none(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Supervisor.start(label="first", keep=True)
    run = Run.read(first.run_directory)
    kill(first)
    monkeypatch.setattr(client, "find_kept", lambda label: run)
    assert Supervisor.find("first") is None


def test_a_failed_undo_command_is_tried_again_by_the_next_sweep_for_a_day(runtime: Path, tmp_path: Path) -> None:
    first = Supervisor.start(label="first")
    first.on_release("cell", ["test", "-e", str(tmp_path / "broker")])
    first.on_release("cell", ["touch", str(tmp_path / "never")], needs="broker")
    kill(first)

    assert "failed with 1" in sweep().failures[0]
    assert first.run_directory.exists()
    (tmp_path / "broker").touch()
    assert sweep().failures == []

    assert not first.run_directory.exists()
    assert not (tmp_path / "never").exists()


def test_an_undo_command_that_keeps_failing_is_given_up(runtime: Path) -> None:
    first = Supervisor.start(label="first")
    first.on_release("cell", ["false"])
    kill(first)
    os.utime(first.run_directory / "label", (0, 0))

    assert len(sweep().failures) == 1
    assert not first.run_directory.exists()


def test_a_living_run_is_left_alone(supervisor: Supervisor) -> None:
    directory = supervisor.make_directory("cell", "data")

    assert sweep().runs == []
    assert directory.exists()


def test_a_run_directory_that_is_just_being_made_is_left_alone(runtime: Path) -> None:
    young, old = runtime / "runs/young", runtime / "runs/old"
    for directory in (young, old):
        directory.mkdir(parents=True)
        (directory / "label").touch()
    os.utime(old, (0, 0))

    assert sweep().runs == []
    assert (young.exists(), old.exists()) == (True, False)
