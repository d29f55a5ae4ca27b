from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from airproof.environment.capabilities import ProcessState, ProcessStatus
from airproof.errors import NotReady, ProviderUnavailable, UsageError, WaitTimeout
from airproof.supervision import ProcessSpec, Supervisor

TIMEOUT_S = 20.0

MakeSpec = Callable[..., ProcessSpec]
WaitForLine = Callable[[Path, str], str]

# Two generations below, in sessions of their own, as PostgreSQL's backends are.
FAMILY = """
import os, signal, sys
pid = os.fork()
if pid == 0:
    os.setsid()
    grandchild = os.fork()
    if grandchild:
        print("family", os.getpid(), grandchild, flush=True)
while True:
    signal.pause()
"""


def test_a_spawned_program_runs_with_its_environment_and_directory(
    supervisor: Supervisor, make_python: MakeSpec, tmp_path: Path
) -> None:
    source = "import os; print(os.getcwd(), sorted(os.environ.keys() - {'LC_CTYPE'}), os.environ['AIRPROOF_RUN'])"
    state = supervisor.spawn(make_python("cell/node", source, directory=str(tmp_path)))

    assert state == ProcessState("cell/node", ProcessStatus.RUNNING, 1)
    assert supervisor.wait_exit("cell/node", TIMEOUT_S).exit_code == 0
    run_id = supervisor.run_directory.name
    assert supervisor.log_path("cell/node").read_text() == f"{tmp_path} ['AIRPROOF_RUN', 'PATH'] {run_id}\n"


def test_ctrl_c_in_the_terminal_does_not_reach_what_is_owned(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node"))

    assert os.getsid(supervisor.pid("cell/node")) == supervisor.pid("cell/node")
    assert _sigint_is_default(supervisor.pid("cell/node"))


def _sigint_is_default(pid: int) -> bool:
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return not int(fields["SigIgn"], 16) & 1 << (signal.SIGINT - 1)


def test_an_exit_is_pushed_to_who_waits_for_it(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node"))
    seen: SimpleQueue[ProcessState] = SimpleQueue()
    waiter = threading.Thread(target=lambda: seen.put(supervisor.wait_exit("cell/node", TIMEOUT_S)))
    waiter.start()

    supervisor.signal("cell/node", signal.SIGTERM)

    assert seen.get(timeout=TIMEOUT_S) == ProcessState("cell/node", ProcessStatus.EXITED, 1, -signal.SIGTERM)
    waiter.join()


def test_waiting_for_an_exit_that_does_not_come_shows_the_log(
    supervisor: Supervisor, make_spec: MakeSpec, wait_for_line: WaitForLine
) -> None:
    supervisor.spawn(make_spec("cell/node", "sh", "-c", "echo I am busy; exec sleep 1000"))
    wait_for_line(supervisor.log_path("cell/node"), "I am busy")

    with pytest.raises(WaitTimeout, match=r"(?s)exit of cell/node.*I am busy") as raised:
        supervisor.wait_exit("cell/node", 0.01)

    assert raised.value.last == "running"
    assert raised.value.timeout_s == 0.01


def test_every_exit_becomes_an_event_that_says_whether_it_was_requested(
    supervisor: Supervisor, make_spec: MakeSpec
) -> None:
    supervisor.spawn(make_spec("cell/crashing", "sh", "-c", "exit 9"))
    supervisor.wait_exit("cell/crashing", TIMEOUT_S)
    supervisor.spawn(make_spec("cell/killed"))
    supervisor.signal("cell/killed", signal.SIGKILL)
    supervisor.wait_exit("cell/killed", TIMEOUT_S)

    crashed, killed = supervisor.events()
    assert (crashed.name, crashed.group, crashed.exit_code, crashed.requested) == ("cell/crashing", "cell", 9, False)
    assert (killed.name, killed.incarnation, killed.exit_code, killed.requested) == ("cell/killed", 1, -9, True)
    assert crashed.at <= killed.at
    assert supervisor.events(after=crashed.sequence) == [killed]


def test_a_crash_after_a_suspension_was_not_requested(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node"))
    supervisor.signal("cell/node", signal.SIGSTOP)
    supervisor.signal("cell/node", signal.SIGCONT)
    os.kill(supervisor.pid("cell/node"), signal.SIGKILL)
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    assert [event.requested for event in supervisor.events()] == [False]


def test_a_restart_is_the_same_program_in_its_next_incarnation(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node", "sh", "-c", "echo once more"))
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    state = supervisor.restart("cell/node")
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    assert state.incarnation == 2
    assert supervisor.log_path("cell/node").read_text() == "once more\nonce more\n"
    assert [event.incarnation for event in supervisor.events()] == [1, 2]


def test_a_restart_may_change_the_environment_once(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    spec = make_spec("cell/node", "sh", "-c", 'echo "${KEY-none}"')
    supervisor.spawn(replace(spec, environment={**spec.environment, "KEY": "told"}))
    for changes in ({"told": None}, {"told": ""}, {"another": None}):
        supervisor.wait_exit("cell/node", TIMEOUT_S)
        supervisor.restart("cell/node", changes)
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    assert supervisor.log_path("cell/node").read_text() == "told\nnone\n\ntold\n"


def test_a_suspended_process_is_suspended_with_its_descendants_and_resumes(
    supervisor: Supervisor, make_python: MakeSpec, wait_for_line: WaitForLine
) -> None:
    supervisor.spawn(make_python("cell/node", FAMILY))
    family = wait_for_line(supervisor.log_path("cell/node"), "family").split()

    supervisor.signal("cell/node", signal.SIGSTOP)
    state = supervisor.wait_state("cell/node", ProcessStatus.SUSPENDED, TIMEOUT_S)
    letters = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] for pid in family]
    supervisor.signal("cell/node", signal.SIGCONT)

    assert state.status is ProcessStatus.SUSPENDED
    assert letters == ["T", "T"]
    assert supervisor.wait_state("cell/node", ProcessStatus.RUNNING, TIMEOUT_S).status is ProcessStatus.RUNNING


@pytest.mark.parametrize("suspended", [False, True])
def test_when_a_process_is_killed_nothing_of_it_is_left_once_the_exit_is_seen(
    supervisor: Supervisor,
    make_python: MakeSpec,
    wait_for_line: WaitForLine,
    alive: Callable[[list[int]], list[int]],
    suspended: bool,
) -> None:
    supervisor.spawn(make_python("cell/node", FAMILY))
    family = [int(pid) for pid in wait_for_line(supervisor.log_path("cell/node"), "family").split()]
    if suspended:
        supervisor.signal("cell/node", signal.SIGSTOP)

    supervisor.signal("cell/node", signal.SIGKILL)
    state = supervisor.wait_exit("cell/node", TIMEOUT_S)

    assert state.exit_code == -signal.SIGKILL
    assert alive(family) == []


def test_waiting_for_a_suspension_of_an_exited_process_fails_at_once(
    supervisor: Supervisor, make_spec: MakeSpec
) -> None:
    supervisor.spawn(make_spec("cell/node", "true"))
    supervisor.wait_exit("cell/node", TIMEOUT_S)

    supervisor.signal("cell/node", signal.SIGSTOP)
    with pytest.raises(NotReady, match="cell/node exited with 0"):
        supervisor.wait_state("cell/node", ProcessStatus.SUSPENDED, TIMEOUT_S)


def test_a_missing_program_is_named(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    with pytest.raises(ProviderUnavailable, match=r"cell/node.*No such file.*'/nowhere/postgres'"):
        supervisor.spawn(make_spec("cell/node", "/nowhere/postgres"))

    assert supervisor.states() == []


def test_a_program_that_cannot_be_executed_is_named(
    supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path
) -> None:
    (tmp_path / "program").touch(mode=0o600)

    with pytest.raises(ProviderUnavailable, match=r"Permission denied.*program"):
        supervisor.spawn(make_spec("cell/node", str(tmp_path / "program")))


def test_a_missing_directory_is_named(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    with pytest.raises(ProviderUnavailable, match=r"No such file.*'/nowhere'"):
        supervisor.spawn(make_spec("cell/node", "true", directory="/nowhere"))


def test_the_name_of_a_living_process_is_refused(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node"))

    with pytest.raises(UsageError, match="cell/node is running already"):
        supervisor.spawn(make_spec("cell/node"))
    with pytest.raises(UsageError, match="cell/node is running already"):
        supervisor.restart("cell/node")


def test_an_unknown_process_is_named_with_those_there_are(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/node"))

    with pytest.raises(UsageError, match=r"'cell/nose'.*\['cell/node'\]"):
        supervisor.state("cell/nose")


@pytest.mark.parametrize("name", ["node", "other/node", "cell/", "cell/../node"])
def test_a_process_is_named_after_its_group(supervisor: Supervisor, name: str) -> None:
    with pytest.raises(UsageError, match="'cell/<node>'"):
        supervisor.spawn(ProcessSpec(name, "cell", ("true",), {}))


def test_states_are_listed_by_group(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("one/a"))
    supervisor.spawn(make_spec("two/b"))

    assert [state.node for state in supervisor.states()] == ["one/a", "two/b"]
    assert [state.node for state in supervisor.states("two")] == ["two/b"]
