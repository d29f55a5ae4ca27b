"""Cleans up after supervisors that died without doing so: a run whose label nobody has locked is dead.

Their processes are dead as a rule (see `kernel.die_with` and `guard`); directories, undo commands and survivors remain.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from airproof.errors import SupervisorGone
from airproof.supervision.kernel import LINUX, has_terminal, process_ids, send_signal
from airproof.supervision.runs import OWNER_VARIABLE, Run, list_runs
from airproof.supervision.specs import JSON

UNDO_TIMEOUT_S = 10.0
_GIVE_UP_AFTER_S = 24 * 3600.0
_BEING_MADE_S = 60.0
_ROUNDS = 3


@dataclass(slots=True)
class SweepReport:
    """What was cleaned up: labels of dead runs, and what could not be done about them."""

    runs: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def sweep() -> SweepReport:
    """Removes the remains of every dead run of this user.

    An undo command that fails is tried again by later sweeps for a day.
    """
    report = SweepReport()
    for directory in list_runs():
        try:
            lock = os.open(directory / "label", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _remove_unlabelled(directory, report)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sweep_run(directory, report)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return report


def _remove_unlabelled(directory: Path, report: SweepReport) -> None:
    """A directory without a valid label is being made, or its maker died in the middle."""
    try:
        age_s = time.time() - directory.stat().st_mtime
    except FileNotFoundError:
        return
    if age_s > _BEING_MADE_S:
        report.failures += remove_trees(directory)


def _sweep_run(directory: Path, report: SweepReport) -> None:
    try:
        run = Run.read(directory)
    except SupervisorGone:
        _remove_unlabelled(directory, report)
        return
    kill_survivors(run)
    report.runs.append(run.label)
    report.failures += remove_trees(*run.roots)
    failed = [command for command in read_undo(run) if not command["needs"] and not _undo(command["argv"], report)]
    if failed:
        write_undo(run, failed)
    if not failed or time.time() - run.label_file.stat().st_mtime > _GIVE_UP_AFTER_S:
        report.failures += remove_trees(directory)


def kill_survivors(run: Run) -> None:
    """Kills whatever carries the run's id in its first environment, or works in one of its data directories.

    Two marks, because servers such as PostgreSQL overwrite their environment to show a title. A process with a terminal
    is left alone: it is somebody's shell, standing in a directory to look at it.
    """
    if not LINUX:
        return
    mark = f"{OWNER_VARIABLE}={run.id}".encode()
    roots = tuple(f"{root}/" for root in run.roots)
    for _ in range(_ROUNDS):
        found = [pid for pid in process_ids() if pid != os.getpid() and _is_marked(pid, mark, roots)]
        for pid in found:
            send_signal(pid, signal.SIGKILL)
        if not found:
            return


def _is_marked(pid: int, mark: bytes, roots: tuple[str, ...]) -> bool:
    try:
        if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return True
        return f"{Path(f'/proc/{pid}/cwd').readlink()}/".startswith(roots) and not has_terminal(pid)
    except OSError:  # another user's, or gone
        return False


def read_undo(run: Run) -> list[dict[str, JSON]]:
    """The undo commands that have not been run: `group`, `argv`, `needs`."""
    try:
        return list(json.loads(run.undo_file.read_text()))
    except (FileNotFoundError, ValueError):
        return []


def write_undo(run: Run, commands: list[dict[str, JSON]]) -> None:
    """Keeps the undo commands for a later sweep."""
    new = run.undo_file.with_suffix(".new")
    new.write_text(json.dumps(commands))
    new.replace(run.undo_file)


def _undo(argv: list[str], report: SweepReport) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=UNDO_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        report.failures.append(f"undo command {argv} failed: {error}")
        return False
    if done.returncode:
        report.failures.append(f"undo command {argv} failed with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


def remove_trees(*directories: Path) -> list[str]:
    """Deletes directories, if they are there; returns what failed."""
    import shutil  # imports all compressors there are, which the supervisor's start can do without

    failures = []
    for directory in directories:
        try:
            shutil.rmtree(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.append(f"cannot delete {directory}: {error}")
    return failures
