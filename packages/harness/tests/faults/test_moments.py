from __future__ import annotations

import pytest

from airproof.environment.capabilities import ProcessStatus
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, WaitTimeout
from airproof.faults.moments import MomentFault, crash_loop, killed_at, suspended_at
from airproof.wire import on, redis
from airproof.wire.building import Selected

from .conftest import Client, WiredCell
from .processes import Nodes

SOON_S = 10.0


@pytest.fixture
def nodes(wired_cell: WiredCell) -> Nodes:
    wired_cell.processes = nodes = Nodes()
    return nodes


def increment(key: str = "counter") -> Selected:
    return on("desk", "redis").when(redis.command("INCR", key=key))


def reach(cell: WiredCell, fault: MomentFault) -> None:
    """Sends the message, which never arrives, and waits for what it brings about."""
    with Client(cell) as client, pytest.raises(ConnectionError):
        client.ask("INCR", "counter")
    fault.wait(timeout_s=SOON_S)


def value(cell: WiredCell, key: str) -> str:
    with Client(cell, "till") as other:
        return other.ask("GET", key)


def test_a_node_is_killed_when_its_message_comes_and_the_message_is_never_sent(
    wired_cell: WiredCell, nodes: Nodes
) -> None:
    with killed_at(wired_cell, "till", increment("never")) as fault, Client(wired_cell) as client:
        client.ask("PING")
        assert nodes.done == []
        with pytest.raises(ConnectionError):
            client.ask("INCR", "never")
        fault.wait(timeout_s=SOON_S)
        assert nodes.done == ["kill till"]
    assert nodes.done == ["kill till", "start till"]
    assert value(wired_cell, "never") == "$-1\r\n"


def test_after_the_reply_the_work_is_done_and_the_reply_is_never_seen(wired_cell: WiredCell, nodes: Nodes) -> None:
    with Client(wired_cell) as client:
        client.ask("DEL", "done")
        with killed_at(wired_cell, "desk", increment("done").after()), pytest.raises(ConnectionError):
            client.ask("INCR", "done")
    assert value(wired_cell, "done") == "$1\r\n1\r\n"
    (recorded,) = wired_cell.history.recording().faults
    assert [one.applied.action for one in recorded.evidence if one.applied] == ["hold", "reset"]
    assert [one.what for one in recorded.evidence if not one.applied] == ["desk is exited"]
    assert recorded.explains[0].explains_exit("desk")


def test_it_is_the_message_that_was_named(wired_cell: WiredCell, nodes: Nodes) -> None:
    with killed_at(wired_cell, "till", increment().nth(2)), Client(wired_cell) as client:
        client.ask("INCR", "counter")
        with pytest.raises(ConnectionError):
            client.ask("INCR", "counter")
    assert nodes.done == ["kill till", "start till"]


def test_a_frozen_node_is_frozen_when_its_message_goes_on(wired_cell: WiredCell, nodes: Nodes) -> None:
    with suspended_at(wired_cell, "till", increment()) as fault, Client(wired_cell) as client:
        client.ask("INCR", "counter")
        assert fault.states[0].status is ProcessStatus.SUSPENDED
    assert nodes.done == ["suspend till", "resume till"]


def test_a_crash_loop_kills_each_time_that_the_message_comes(wired_cell: WiredCell, nodes: Nodes) -> None:
    with crash_loop(wired_cell, "till", 2, at=increment()) as fault:
        for _ in range(2):
            with Client(wired_cell) as client, pytest.raises(ConnectionError):
                client.ask("INCR", "counter")
        fault.wait(times=2, timeout_s=SOON_S)
        with Client(wired_cell) as client:
            assert client.ask("INCR", "counter")
        assert nodes.done == ["kill till", "start till", "kill till"]
    assert nodes.done[3:] == ["start till"]


def test_a_crash_loop_without_a_message_kills_as_soon_as_the_node_is_ready(wired_cell: WiredCell, nodes: Nodes) -> None:
    with crash_loop(wired_cell, "till", 3) as fault:
        fault.wait(times=3, timeout_s=SOON_S)
    assert nodes.done == ["kill till", "start till"] * 3


def test_a_moment_that_never_came_proved_nothing_and_leaves_no_rule(wired_cell: WiredCell, nodes: Nodes) -> None:
    with pytest.raises(FaultNotObserved), killed_at(wired_cell, "till", increment()):
        assert wired_cell.wire.health()["rules"] == 2
    assert wired_cell.wire.health()["rules"] == 0
    assert nodes.done == []


def test_a_moment_that_need_not_come_is_no_failure(wired_cell: WiredCell, nodes: Nodes) -> None:
    with (
        killed_at(wired_cell, "till", increment(), required=False) as fault,
        pytest.raises(WaitTimeout, match="0 times"),
    ):
        fault.wait(timeout_s=0.05)
    assert nodes.done == []


def test_a_node_that_is_healed_early_runs_for_the_rest_of_the_test(wired_cell: WiredCell, nodes: Nodes) -> None:
    with killed_at(wired_cell, "till", increment()) as fault:
        reach(wired_cell, fault)
        fault.heal()
        assert nodes.done == ["kill till", "start till"]
        with Client(wired_cell) as again:
            assert again.ask("INCR", "counter")


def test_a_node_that_does_not_come_back_is_not_healed(wired_cell: WiredCell, nodes: Nodes) -> None:
    nodes.broken = True
    with pytest.raises(FaultNotHealed, match="no such file"), killed_at(wired_cell, "till", increment()) as fault:
        reach(wired_cell, fault)
    assert wired_cell.wire.health()["rules"] == 0
    assert len(wired_cell.history.recording().unhealed()) == 1


def test_what_goes_wrong_at_the_moment_is_raised(wired_cell: WiredCell, nodes: Nodes) -> None:
    def refuse(_: str) -> None:
        raise FaultUnsupported("not this one")

    nodes.kill = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(FaultUnsupported, match="not this one"), killed_at(wired_cell, "till", increment()) as fault:
        reach(wired_cell, fault)


def test_without_control_over_processes_it_is_refused(wired_cell: WiredCell) -> None:
    with pytest.raises(FaultUnsupported), killed_at(wired_cell, "till", increment()):
        pass
