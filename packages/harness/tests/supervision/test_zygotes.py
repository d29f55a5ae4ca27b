from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from airproof.environment.capabilities import ProcessState, ProcessStatus
from airproof.errors import NotReady, UsageError
from airproof.supervision import ForkSpec, Supervisor

TIMEOUT_S = 20.0

WaitForLine = Callable[[Path, str], str]


def make_fork(zygote: str, entry: str, name: str = "cell/node", **environment: str) -> ForkSpec:
    return ForkSpec(name, "cell", zygote, f"entries:{entry}", environment)


def test_a_forked_process_waits_for_the_preload_and_gets_its_own_environment_and_log(
    supervisor: Supervisor, zygote: str, wait_for_line: WaitForLine
) -> None:
    state = supervisor.fork(make_fork(zygote, "wait", GREETING="hello"))

    assert state == ProcessState("cell/node", ProcessStatus.RUNNING, 1)
    assert wait_for_line(supervisor.log_path("cell/node"), "waiting") == "hello"
    assert Path(f"/proc/{supervisor.pid('cell/node')}/comm").read_text() == "node\n"


def test_a_forked_process_shuts_down_gracefully_and_its_exit_is_an_event(
    supervisor: Supervisor, zygote: str, wait_for_line: WaitForLine
) -> None:
    supervisor.fork(make_fork(zygote, "graceful"))
    wait_for_line(supervisor.log_path("cell/node"), "ready")

    supervisor.signal("cell/node", signal.SIGTERM)

    assert supervisor.wait_exit("cell/node", TIMEOUT_S).exit_code == 7
    assert [(event.name, event.exit_code, event.requested) for event in supervisor.events()] == [("cell/node", 7, True)]


@pytest.mark.parametrize(("entry", "code"), [("fails", 1), ("returns", 3), ("missing", 1)])
def test_the_exit_code_is_the_entry_s(supervisor: Supervisor, zygote: str, entry: str, code: int) -> None:
    supervisor.fork(make_fork(zygote, entry))

    assert supervisor.wait_exit("cell/node", TIMEOUT_S).exit_code == code
    assert [event.requested for event in supervisor.events()] == [False]


def test_what_a_forked_process_failed_of_is_in_its_log(supervisor: Supervisor, zygote: str) -> None:
    supervisor.fork(make_fork(zygote, "fails"))
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    assert "RuntimeError: the entry failed" in supervisor.log_path("cell/node").read_text()


def test_a_killed_forked_process_is_restarted_from_its_zygote(supervisor: Supervisor, zygote: str) -> None:
    supervisor.fork(make_fork(zygote, "wait"))
    first = supervisor.pid("cell/node")
    supervisor.signal("cell/node", signal.SIGKILL)
    assert supervisor.wait_exit("cell/node", TIMEOUT_S).exit_code == -signal.SIGKILL

    state = supervisor.restart("cell/node")

    assert (state.status, state.incarnation) == (ProcessStatus.RUNNING, 2)
    assert supervisor.pid("cell/node") != first


def test_the_children_of_a_killed_zygote_die_with_it_unrequested(supervisor: Supervisor, zygote: str) -> None:
    for name in ("cell/a", "cell/b"):
        supervisor.fork(make_fork(zygote, "wait", name))

    supervisor.signal(zygote, signal.SIGKILL)

    exits = [supervisor.wait_exit(name, TIMEOUT_S).exit_code for name in (zygote, "cell/a", "cell/b")]
    assert exits == [-signal.SIGKILL] * 3
    assert {event.name: event.requested for event in supervisor.events()} == {
        zygote: True,
        "cell/a": False,
        "cell/b": False,
    }
    with pytest.raises(NotReady, match=rf"cannot fork cell/a: its zygote {zygote} has exited"):
        supervisor.restart("cell/a")


def test_a_restarted_zygote_forks_again(supervisor: Supervisor, zygote: str) -> None:
    supervisor.signal(zygote, signal.SIGKILL)
    supervisor.wait_exit(zygote, TIMEOUT_S)

    supervisor.restart(zygote)

    assert supervisor.fork(make_fork(zygote, "wait")).status is ProcessStatus.RUNNING


def test_a_preload_that_fails_is_shown_to_who_forks(supervisor: Supervisor, environment: dict[str, str]) -> None:
    supervisor.spawn_zygote("cell/zygote", "cell", ["no_such_module"], environment)

    with pytest.raises(NotReady, match=r"(?s)its zygote cell/zygote has exited.*No module named 'no_such_module'"):
        supervisor.fork(make_fork("cell/zygote", "wait"))


def test_an_unknown_zygote_is_named(supervisor: Supervisor, zygote: str) -> None:
    with pytest.raises(UsageError, match=r"no zygote 'zygotes/other'.*\['zygotes/main'\]"):
        supervisor.fork(make_fork("zygotes/other", "wait"))
