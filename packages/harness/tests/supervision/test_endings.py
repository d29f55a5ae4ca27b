"""However somebody ends, nothing of what it owned lives on: the five-second rule."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airproof.errors import SupervisorGone
from airproof.supervision import ProcessSpec, Supervisor
from airproof.waiting import wait_until

RULE_S = 5.0
TIMEOUT_S = 20.0

MakeSpec = Callable[..., ProcessSpec]
MakeRunner = Callable[..., Any]
Alive = Callable[[list[int]], list[int]]

WORKER = """
import sys
from pathlib import Path
from airproof.supervision import ProcessSpec, Supervisor
worker = Supervisor.attach(Path(sys.argv[1]))
worker.lease("cell")
worker.spawn(ProcessSpec("cell/a", "cell", ("sleep", "1000"), {"PATH": "/usr/bin:/bin"}))
print(worker.make_directory("cell", "data"), flush=True)
sys.stdin.read()
"""


def wait_dead(alive: Alive, pids: list[int]) -> None:
    wait_until(lambda: not alive(pids), timeout_s=RULE_S, describe=f"the end of {pids}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_when_the_runner_ends_everything_is_cleaned_up(
    make_runner: MakeRunner, alive: Alive, runtime: Path, how: signal.Signals | None
) -> None:
    runner = make_runner()

    if how:
        runner.process.send_signal(how)
    else:
        runner.process.communicate()

    wait_dead(alive, [runner.supervisor, runner.guard, *runner.owned.values()])
    assert runner.undone.exists()
    assert not runner.data.parent.parent.exists()
    assert list((runtime / "runs").iterdir()) == []


def test_a_killed_runner_is_noticed_though_its_child_holds_the_lifeline(make_runner: MakeRunner, alive: Alive) -> None:
    runner = make_runner("forks")

    runner.process.kill()

    wait_dead(alive, [runner.supervisor, runner.guard, *runner.owned.values()])
    assert runner.undone.exists()


def test_when_the_supervisor_is_killed_no_process_lives_on(make_runner: MakeRunner, alive: Alive) -> None:
    runner = make_runner()

    os.kill(runner.supervisor, signal.SIGKILL)

    wait_dead(alive, [runner.guard, *runner.owned.values()])
    assert runner.process.poll() is None


def test_when_runner_and_supervisor_are_killed_no_process_lives_on(make_runner: MakeRunner, alive: Alive) -> None:
    runner = make_runner()

    os.kill(runner.supervisor, signal.SIGKILL)
    runner.process.kill()

    wait_dead(alive, [runner.guard, *runner.owned.values()])


def test_when_the_guard_is_killed_too_the_next_start_finds_the_survivors(make_runner: MakeRunner, alive: Alive) -> None:
    runner = make_runner()
    survivors = [runner.owned["child"], runner.owned["grandchild"]]
    runner.process.send_signal(signal.SIGSTOP)

    os.kill(runner.guard, signal.SIGKILL)
    os.kill(runner.supervisor, signal.SIGKILL)
    wait_until(lambda: alive(list(runner.owned.values())) == survivors, timeout_s=RULE_S, describe="the kernel's part")
    with Supervisor.start(label="next") as supervisor:
        assert supervisor.swept.runs == ["runner"]

    wait_dead(alive, survivors)


def test_when_a_worker_is_killed_its_groups_go_and_the_others_stay(
    supervisor: Supervisor, make_spec: MakeSpec, alive: Alive
) -> None:
    supervisor.spawn(make_spec("shared/a"))
    command = [sys.executable, "-c", WORKER, str(supervisor.run_directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        directory = Path(worker.stdout.readline().strip())
        pid = supervisor.pid("cell/a")

        worker.kill()

        wait_dead(alive, [pid])
    wait_until(lambda: not directory.exists(), timeout_s=RULE_S, describe=f"the removal of {directory}")
    assert alive([supervisor.pid("shared/a")])


def test_a_killed_supervisor_is_reported_to_its_clients(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    supervisor.spawn(make_spec("cell/a"))
    assert supervisor._launched
    supervisor._launched.process.kill()

    with pytest.raises(SupervisorGone, match=f"supervisor of {supervisor.run_directory} has ended"):
        supervisor.wait_exit("cell/a", TIMEOUT_S)
    with pytest.raises(SupervisorGone, match="start the run again"):
        supervisor.spawn(make_spec("cell/b"))


def test_a_kept_supervisor_outlives_its_runner_and_ends_on_sigterm(make_runner: MakeRunner, alive: Alive) -> None:
    runner = make_runner("keep")
    runner.process.kill()
    runner.process.wait()
    found = Supervisor.find("runner")
    assert found
    assert len(alive(list(runner.owned.values()))) == len(runner.owned)

    os.kill(runner.supervisor, signal.SIGTERM)

    wait_dead(alive, runner.everything)
    assert runner.undone.exists()
    assert not runner.run_directory.exists()
    found.close()


def test_a_kept_supervisor_ends_with_the_client_that_holds_a_vital_group(
    runtime: Path, make_spec: MakeSpec, alive: Alive
) -> None:
    supervisor = Supervisor.start(label="kept", keep=True)
    supervisor.lease("opening", vital=True)
    supervisor.spawn(make_spec("shared/a"))
    owned = [supervisor.process_id, supervisor.pid("shared/a")]

    supervisor.close()

    wait_dead(alive, owned)
    assert list((runtime / "runs").iterdir()) == []


def test_a_vital_group_that_was_removed_ends_nothing(runtime: Path) -> None:
    supervisor = Supervisor.start(label="kept", keep=True)
    supervisor.lease("opening", vital=True)
    supervisor.remove("opening")
    supervisor.close()

    found = Supervisor.find("kept")
    assert found
    found.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_of_a_terminal_do_not_end_the_supervisor(supervisor: Supervisor, number: signal.Signals) -> None:
    supervisor.groups()
    assert supervisor._launched
    os.kill(supervisor._launched.process.pid, number)

    assert supervisor.groups() == []
    assert os.getsid(supervisor._launched.process.pid) == supervisor._launched.process.pid
