from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airproof.errors import SupervisorGone, WaitTimeout
from airproof.supervision import ProcessSpec, Supervisor

TIMEOUT_S = 20.0

MakeSpec = Callable[..., ProcessSpec]
Alive = Callable[[list[int]], list[int]]


def test_nothing_is_left_after_stop(
    supervisor: Supervisor, make_spec: MakeSpec, zygote: str, alive: Alive, runtime: Path
) -> None:
    supervisor.spawn(make_spec("cell/a"))
    directory = supervisor.make_directory("cell", "data")
    pids = [supervisor.pid("cell/a"), supervisor.pid(zygote)]

    supervisor.stop()

    assert alive(pids) == []
    assert not directory.parent.parent.exists()
    assert list((runtime / "runs").iterdir()) == []
    with pytest.raises(SupervisorGone, match="stopped"):
        supervisor.states()


def test_a_kept_supervisor_is_found_by_its_label_until_it_is_stopped(
    runtime: Path, make_spec: MakeSpec, alive: Alive
) -> None:
    first = Supervisor.start(label="kept", keep=True)
    first.spawn(make_spec("cell/a"))
    pid = first.pid("cell/a")
    first.close()

    assert Supervisor.find("other") is None
    found = Supervisor.find("kept")
    assert found
    assert found.pid("cell/a") == pid
    found.stop()

    assert alive([pid]) == []
    assert Supervisor.find("kept") is None


def test_a_supervisor_that_is_not_kept_is_not_found(supervisor: Supervisor) -> None:
    assert Supervisor.find("test") is None


def test_attaching_to_a_run_that_has_ended_says_so(supervisor: Supervisor) -> None:
    supervisor.stop()

    with pytest.raises(SupervisorGone, match=str(supervisor.run_directory)):
        Supervisor.attach(supervisor.run_directory)


def test_what_is_put_is_got_by_those_who_wait_for_it(supervisor: Supervisor) -> None:
    with Supervisor.attach(supervisor.run_directory) as worker, ThreadPoolExecutor() as threads:
        waiting = [threads.submit(worker.get, "kafka", TIMEOUT_S) for _ in range(3)]
        assert supervisor.get("kafka") is None
        supervisor.put("kafka", {"port": 1})

        assert [future.result() for future in waiting] == [{"port": 1}] * 3
        assert worker.get("kafka") == {"port": 1}


def test_a_fact_that_nobody_puts_is_not_waited_for_for_ever(supervisor: Supervisor) -> None:
    supervisor.put("redis", 1)

    with pytest.raises(WaitTimeout, match=r"'kafka'.*\['redis'\]"):
        supervisor.get("kafka", 0.01)


def test_many_threads_may_use_one_client(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = [f"cell/n{number}" for number in range(16)]
        list(threads.map(lambda name: supervisor.spawn(make_spec(name, "sh", "-c", f"exit {name[6:]}")), names))
        exits = list(threads.map(lambda name: supervisor.wait_exit(name, TIMEOUT_S).exit_code, names))

    assert exits == list(range(16))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_copy_of_a_client_is_told_to_attach(supervisor: Supervisor) -> None:
    child = os.fork()
    if child == 0:
        try:
            supervisor.groups()
        except SupervisorGone:
            os._exit(5)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
