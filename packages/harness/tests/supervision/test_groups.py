from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from airproof.errors import CleanUpError, ProviderUnavailable, UsageError
from airproof.supervision import GroupInfo, ProcessSpec, Supervisor, runs
from airproof.supervision.runs import MEMORY
from airproof.waiting import wait_until

TIMEOUT_S = 20.0

MakeSpec = Callable[..., ProcessSpec]
Alive = Callable[[list[int]], list[int]]


def test_a_removed_group_leaves_no_process_directory_or_port(
    supervisor: Supervisor, make_spec: MakeSpec, alive: Alive
) -> None:
    supervisor.spawn(make_spec("cell/a"))
    supervisor.spawn(make_spec("other/b"))
    pid, other = supervisor.pid("cell/a"), supervisor.pid("other/b")
    directory = supervisor.make_directory("cell", "data")
    (directory / "file").touch()

    supervisor.remove("cell")

    assert alive([pid, other]) == [other]
    assert not directory.exists()
    assert [state.node for state in supervisor.states()] == ["other/b"]
    assert supervisor.groups() == [GroupInfo("other", leased=False)]
    assert [(event.name, event.requested) for event in supervisor.events()] == [("cell/a", True)]


def test_removing_what_is_not_there_does_nothing(supervisor: Supervisor) -> None:
    supervisor.remove("cell")


def test_a_group_can_be_made_again_after_its_removal(supervisor: Supervisor, make_spec: MakeSpec) -> None:
    for _ in range(2):
        assert supervisor.spawn(make_spec("cell/a")).incarnation == 1
        supervisor.make_directory("cell", "data")
        supervisor.remove("cell")


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no /dev/shm")
def test_a_directory_is_in_memory_if_it_fits(supervisor: Supervisor) -> None:
    assert MEMORY in supervisor.make_directory("cell", "small", room_mb=0).parents


def test_too_little_space_is_said_before_the_work(supervisor: Supervisor, runtime: Path) -> None:
    with pytest.raises(
        ProviderUnavailable, match=rf"^no space for 10+ MB of data: free are .* in {runtime}/data; free"
    ):
        supervisor.make_directory("cell", "large", room_mb=10**12)


def test_a_group_is_removed_from_a_full_disk_too(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(small_disk))
    monkeypatch.setattr(runs, "MEMORY", small_disk / "none")
    with Supervisor.start(label="test") as supervisor:
        directory = supervisor.make_directory("cell", "data", room_mb=0)
        supervisor.on_release("cell", ["true"])
        (directory / "all").write_bytes(bytes(shutil.disk_usage(small_disk).free))
        supervisor.remove("cell")
        assert not directory.exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "-rf"])
def test_a_group_s_name_is_a_file_name(supervisor: Supervisor, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a group"):
        supervisor.make_directory(name, "data")
    with pytest.raises(UsageError, match="cannot be the name of a directory"):
        supervisor.make_directory("cell", name)


def test_ports_are_free_and_not_given_twice(runtime: Path, supervisor: Supervisor) -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    with Supervisor.start(label="second run") as second:
        ports = [port for taker in (supervisor, second) for port in taker.take_ports("cell", 50)]

    assert len(set(ports)) == 100
    assert not [port for port in ports if low <= port <= high]
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_undo_commands_run_last_one_first_when_nothing_else_of_the_group_is_left(
    supervisor: Supervisor, make_spec: MakeSpec, tmp_path: Path
) -> None:
    record = tmp_path / "record"
    supervisor.spawn(make_spec("cell/a"))
    for what in ("first", "second"):
        living = f"test -e /proc/{supervisor.pid('cell/a')} && echo too early >> {record}"
        supervisor.on_release("cell", ["sh", "-c", f"{living}; echo {what} >> {record}"])

    supervisor.remove("cell")

    assert record.read_text().split() == ["second", "first"]


def test_an_undo_command_whose_need_is_gone_is_skipped(supervisor: Supervisor, tmp_path: Path) -> None:
    for group in ("broker", "cell", "other"):
        supervisor.lease(group)
    supervisor.on_release("cell", ["touch", str(tmp_path / "with broker")], needs="broker")
    supervisor.on_release("other", ["touch", str(tmp_path / "without broker")], needs="broker")

    for group in ("cell", "broker", "other"):
        supervisor.remove(group)

    assert [path.name for path in tmp_path.iterdir()] == ["with broker"]


def test_clean_up_goes_on_after_a_failure_and_reports_all_of_them(supervisor: Supervisor, tmp_path: Path) -> None:
    directory = supervisor.make_directory("cell", "data")
    supervisor.on_release("cell", ["sh", "-c", "echo no such topic; exit 3"])
    supervisor.on_release("cell", ["/nowhere/kafka-topics"])
    supervisor.on_release("cell", ["touch", str(tmp_path / "done")])

    with pytest.raises(CleanUpError, match=r"(?s)removing group 'cell': 2 clean-up.*no such topic") as raised:
        supervisor.remove("cell")

    assert len(raised.value.failures) == 2
    assert (tmp_path / "done").exists()
    assert not directory.exists()


def test_a_leased_group_goes_with_its_connection_and_a_released_one_stays(
    supervisor: Supervisor, make_spec: MakeSpec, alive: Alive
) -> None:
    worker = Supervisor.attach(supervisor.run_directory)
    for group in ("leased", "released"):
        worker.lease(group)
        worker.spawn(make_spec(f"{group}/a"))
    worker.release("released")
    pids = [supervisor.pid("leased/a"), supervisor.pid("released/a")]

    worker.close()

    wait_until(lambda: alive(pids) == pids[1:], timeout_s=TIMEOUT_S, describe="the leased group to go")
    wait_until(lambda: len(supervisor.groups()) == 1, timeout_s=TIMEOUT_S, describe="the leased group to go")
    assert supervisor.groups() == [GroupInfo("released", leased=False)]


def test_a_leased_group_cannot_be_leased_by_another(supervisor: Supervisor) -> None:
    supervisor.lease("cell")
    supervisor.lease("cell")

    with Supervisor.attach(supervisor.run_directory) as worker, pytest.raises(UsageError, match="leased by another"):
        worker.lease("cell")


def test_a_released_group_is_claimed_by_one_only(supervisor: Supervisor) -> None:
    supervisor.lease("cell-1")
    supervisor.release("cell-1")
    supervisor.lease("cell-2")
    supervisor.make_directory("cell-3", "never-released")

    with Supervisor.attach(supervisor.run_directory) as worker:
        assert worker.claim("spare-") is None
        assert worker.claim("cell-") == "cell-1"
        assert supervisor.claim("cell-") is None
        assert GroupInfo("cell-1", leased=True) in supervisor.groups()
