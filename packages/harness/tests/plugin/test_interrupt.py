"""Ctrl-C, whenever it comes: everything is closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airproof.supervision.kernel import children
from airproof.waiting import wait_until

from .conftest import QUICK

if TYPE_CHECKING:
    from .conftest import Project

pytest_plugins = ["pytester"]

WAITING = """
from pathlib import Path
from airproof.waiting import wait_until

def test_waits(cell):
    Path("running").touch()
    wait_until(lambda: False, timeout_s=50, describe="Ctrl-C")
"""


class Started:
    """Runs of pytest in the background."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.processes: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts one and waits until its test, or whatever it does, has made the file `running`."""
        command = [sys.executable, "-m", "pytest", *QUICK, "--airproof-env", "toy", *arguments]
        process = subprocess.Popen(
            command,
            cwd=self._project.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        wait_until((self._project.path / "running").exists, timeout_s=120, describe="the run to be in the middle")
        return process


@pytest.fixture
def start(project: Project) -> Iterator[Started]:
    started = Started(project)
    # Where whoever started the tests ignores Ctrl-C, as a shell does for what runs in its background, so do children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield started
    signal.signal(signal.SIGINT, before)
    for process in started.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def interrupt(process: subprocess.Popen[str]) -> str:
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    return output


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_in_the_middle_of_a_test(project: Project, start: Started, workers: list[str]) -> None:
    project.pytester.makepyfile(test_toy=WAITING)
    process = start(*workers)
    output = interrupt(process)
    assert process.returncode == 2, output
    assert "KeyboardInterrupt" in output
    assert "INTERNALERROR" not in output
    assert project.journal[-1] == "close main"
    assert (project.report / "report.html").exists() or workers
    assert not (project.report / ".run").exists()


STUCK = """
    import airproof_fake
    from pathlib import Path
    from threading import Event

    def stuck(*_, **__):
        Path("running").touch()
        Event().wait(60)

    airproof_fake.FakeProvider.open = stuck
"""


def test_while_the_environment_comes_up(project: Project, start: Started) -> None:
    project.pytester.makeconftest(STUCK)
    project.pytester.makepyfile(test_toy=WAITING)
    process = start()
    output = interrupt(process)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    assert not (project.report / ".run").exists()


def test_while_tests_are_collected_nobody_waits_for_the_environment(project: Project, start: Started) -> None:
    interrupted = """
    def pytest_collection_modifyitems():
        raise KeyboardInterrupt
    """
    project.pytester.makeconftest(STUCK + interrupted)
    project.pytester.makepyfile(test_toy=WAITING)
    process = start()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2, output
    assert "INTERNALERROR" not in output


def test_the_next_run_has_the_directory_again(project: Project) -> None:
    project.test("def test_a(cell): raise KeyboardInterrupt", inside=False)
    project.test("def test_a(cell): pass", inside=False)
    assert [path.name for path in Path(project.path / "reports").iterdir()] == ["toy"]


def test_workers_end_with_a_controller_that_is_killed(project: Project, start: Started) -> None:
    project.pytester.makepyfile(test_toy=WAITING)
    process = start("-n", "2")
    workers = children(process.pid)
    process.kill()
    process.communicate()
    assert workers
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), timeout_s=5, describe="their end")
