"""`limits` of an environment, on real processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airproof.environment.model import Environment, Limits
from airproof.errors import FaultUnsupported, ProviderUnavailable
from airproof.platform.driver import Driver
from airproof.providers.native import NativeProvider, platform_processes, run_limits
from airproof.providers.native.control_groups import ControlGroup, group_of
from airproof.providers.native.description import process_names
from airproof.providers.protocol import Progress
from airproof.supervision import Supervisor

MEMORY_MB = 3000


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Starts another one for every line and prints what that one has."""
    code = (
        "import subprocess, sys\n"
        "ask = 'from os import *; from resource import *;"
        " print(len(sched_getaffinity(0)), getrlimit(RLIMIT_DATA)[0])'\n"
        "for _ in sys.stdin: subprocess.run([sys.executable, '-c', ask], check=True)\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        assert started.stdin
        started.stdin.close()


def of_a_child(process: subprocess.Popen[str]) -> tuple[int, int]:
    """How many cores and how many bytes what the process starts may use."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    cores, size = process.stdout.readline().split()
    return int(cores), int(size)


@pytest.fixture
def no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(controller: str, pid: int, name: str) -> ControlGroup:
        raise FaultUnsupported("no control group for memory can be made here")

    monkeypatch.setattr(ControlGroup, "make", refuse)


def test_cores_are_limited_for_whatever_is_started_later(process: subprocess.Popen[str]) -> None:
    assert run_limits.limit_run(Limits(cores=1), process.pid, "t") == []
    assert of_a_child(process)[0] == 1


def test_more_cores_than_there_are_limit_nothing(process: subprocess.Popen[str]) -> None:
    run_limits.limit_run(Limits(cores=64), process.pid, "t")
    assert of_a_child(process)[0] == min(64, len(os.sched_getaffinity(0)))


def test_without_control_groups_memory_is_limited_for_each_process_and_said_so(
    process: subprocess.Popen[str], no_groups: None
) -> None:
    (note,) = run_limits.limit_run(Limits(memory_mb=MEMORY_MB), process.pid, "t")
    assert note.startswith("limits.memory_mb: 3000 holds for each process and not for all together: no control group")
    assert of_a_child(process)[1] == MEMORY_MB * 2**20


def test_a_limit_of_the_user_is_not_raised(process: subprocess.Popen[str], no_groups: None) -> None:
    mine = 2**30
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (mine, mine))
    run_limits.limit_run(Limits(memory_mb=MEMORY_MB), process.pid, "t")
    assert of_a_child(process)[1] == mine


def test_without_limits_nothing_is_done(process: subprocess.Popen[str]) -> None:
    assert run_limits.limit_run(Limits(), process.pid, "t") == []
    assert of_a_child(process) == (len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_DATA)[0])


def test_what_cannot_be_enforced_is_refused_with_its_field(
    own_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_limits, "LINUX", False)
    limited = own_environment.model_copy(update={"limits": Limits(cores=2, memory_mb=4096)})
    with pytest.raises(ProviderUnavailable, match=r"not have: limits\.cores: 2; limits\.memory_mb: 4096; use"):
        platform_processes.demand_supported(limited)


def test_all_processes_of_an_environment_are_limited_and_no_control_group_is_left(
    own_environment: Environment, driver: Driver, progress: Progress
) -> None:
    limited = own_environment.model_copy(update={"limits": Limits(cores=1, memory_mb=MEMORY_MB)})
    opened = NativeProvider().open(limited, driver, progress=progress)
    try:
        supervisor = Supervisor.attach(Path(opened.handle))
        pids = [supervisor.pid(name) for name in process_names(opened.lease_cell()).values()]
        supervisor.close()
        assert {len(os.sched_getaffinity(pid)) for pid in pids} == {1}
        groups = {group_of("memory", pid)[0] for pid in pids}
        sizes = {resource.prlimit(pid, resource.RLIMIT_DATA)[0] for pid in pids}
        each = any(note.startswith("limits.memory_mb") for note in opened.notes)
        assert sizes == {MEMORY_MB * 2**20} if each else len(groups) == 1
    finally:
        opened.close()
    assert not [group for group in groups if group.name.startswith(run_limits.PREFIX) and group.exists()]
