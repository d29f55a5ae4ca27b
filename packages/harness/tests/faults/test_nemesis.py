from __future__ import annotations

from threading import Event

import pytest

from airproof.environment.capabilities import ProcessState
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, NotReady, UsageError
from airproof.faults.nemesis import Anchor, Disturbance, Nemesis, Schedule
from airproof.wire.rules import Moment

from .conftest import Client, WiredCell
from .processes import Nodes

KILL_TILL = Disturbance("killed", ("till",))
FREEZE_DESK = Disturbance("suspended", ("desk",))


def at(number: int, event: str = "INCR", source: str = "desk", moment: Moment = Moment.BEFORE) -> Anchor:
    return Anchor(source, "redis", "redis", event, number, moment)


@pytest.fixture
def nodes(wired_cell: WiredCell) -> Nodes:
    wired_cell.processes = nodes = Nodes()
    return nodes


def test_what_has_no_anchor_is_in_force_from_the_beginning_and_heals_last_first(
    wired_cell: WiredCell, nodes: Nodes
) -> None:
    with Nemesis(wired_cell, Schedule((KILL_TILL, FREEZE_DESK))):
        assert nodes.done == ["kill till", "suspend desk"]
    assert nodes.done == ["kill till", "suspend desk", "resume desk", "start till"]
    assert not wired_cell.history.recording().unhealed()


def test_a_fault_comes_at_its_message_and_goes_at_its_other_one(wired_cell: WiredCell, nodes: Nodes) -> None:
    wanted = Disturbance("killed", ("till",), start=at(2), end=at(2))
    with Nemesis(wired_cell, Schedule((wanted,))) as nemesis, Client(wired_cell) as client:
        client.ask("INCR", "x")
        assert nodes.done == []
        client.ask("INCR", "x")
        assert nodes.done == ["kill till"]
        client.ask("INCR", "x")
        assert nodes.done == ["kill till"]
        client.ask("INCR", "x")
        assert nodes.done == ["kill till", "start till"]
    assert nemesis.begun == [wanted]
    assert wired_cell.wire.health()["rules"] == 0


def test_at_a_reply_the_work_is_done_already(wired_cell: WiredCell, nodes: Nodes) -> None:
    with Client(wired_cell) as client, Client(wired_cell, "till") as other:
        client.ask("DEL", "n")
        wanted = Disturbance("partition", ("desk",), ("redis",), start=at(1, moment=Moment.AFTER))
        with Nemesis(wired_cell, Schedule((wanted,))):
            assert not client.answers("INCR", "n", within_s=0.5)
        assert other.ask("GET", "n") == "$1\r\n1\r\n"


def test_faults_of_the_network_are_composed_with_those_of_processes(wired_cell: WiredCell, nodes: Nodes) -> None:
    cut = Disturbance("partition", ("desk",), ("redis",), start=at(1), end=at(1, source="till"))
    with Nemesis(wired_cell, Schedule((cut, KILL_TILL))), Client(wired_cell) as client:
        assert not client.answers("INCR", "x", within_s=0.5)
        with Client(wired_cell, "till") as other:
            other.ask("INCR", "x")
        with Client(wired_cell) as again:
            assert again.ask("INCR", "x")
    kinds = [fault.kind for fault in wired_cell.history.recording().faults]
    assert sorted(kinds) == ["killed", "partition"]


def test_two_faults_of_one_process_are_one(wired_cell: WiredCell, nodes: Nodes) -> None:
    with Nemesis(wired_cell, Schedule((KILL_TILL, Disturbance("suspended", ("till",))))) as nemesis:
        pass
    assert nodes.done == ["kill till", "start till"]
    assert nemesis.begun == [KILL_TILL]


class Finishing(Nodes):
    """Nodes that do not stop before they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = Event()

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        assert self.may_end.wait(timeout_s)
        return super().terminate(node)


def test_who_is_asked_to_stop_gets_its_message_and_nobody_else_waits_for_it(wired_cell: WiredCell) -> None:
    wired_cell.processes = nodes = Finishing()
    stop, freeze = Disturbance("stopped", ("till",), start=at(1)), Disturbance("suspended", ("desk",), start=at(2))
    with Nemesis(wired_cell, Schedule((stop, freeze))), Client(wired_cell) as client:
        client.ask("INCR", "x")
        client.ask("INCR", "x")
        nodes.may_end.set()
    assert nodes.done[:2] == ["suspend desk", "terminate till"]


class Stubborn(Nodes):
    """Nodes that cannot be suspended."""

    def suspend(self, node: str) -> ProcessState:
        raise NotReady(f"{node} cannot be suspended")


def test_what_could_not_begin_leaves_its_process_to_others(wired_cell: WiredCell) -> None:
    wired_cell.processes = nodes = Stubborn()
    freeze, kill = Disturbance("suspended", ("till",), start=at(1)), Disturbance("killed", ("till",), start=at(2))
    with (
        pytest.raises(NotReady, match="cannot be suspended"),
        Nemesis(wired_cell, Schedule((freeze, kill))),
        Client(wired_cell) as client,
    ):
        assert all(client.ask("INCR", "x") for _ in range(2))
    assert nodes.done == ["kill till", "start till"]


def test_what_never_came_about_is_said(wired_cell: WiredCell, nodes: Nodes) -> None:
    with Nemesis(wired_cell, Schedule((Disturbance("killed", ("till",), start=at(9)),))):
        pass
    assert nodes.done == []
    last = wired_cell.history.recording().notes[-1].text
    assert last == "nemesis: never came about: killed till at 9th INCR desk>redis"


def test_a_required_schedule_of_which_nothing_came_about_proved_nothing(wired_cell: WiredCell, nodes: Nodes) -> None:
    schedule = Schedule((Disturbance("killed", ("till",), start=at(9)),))
    with pytest.raises(FaultNotObserved, match="9th INCR"), Nemesis(wired_cell, schedule, required=True):
        pass


def test_all_heals_when_the_test_fails(wired_cell: WiredCell, nodes: Nodes) -> None:
    schedule = Schedule((KILL_TILL, FREEZE_DESK, Disturbance("killed", ("desk",), start=at(9))))
    with pytest.raises(ValueError, match="invalid literal"), Nemesis(wired_cell, schedule):
        int("red")
    assert nodes.done[-2:] == ["resume desk", "start till"]
    assert wired_cell.wire.health()["rules"] == 0


def test_one_that_does_not_heal_does_not_keep_the_others_from_it(wired_cell: WiredCell, nodes: Nodes) -> None:
    with pytest.raises(FaultNotHealed, match="no such file"), Nemesis(wired_cell, Schedule((FREEZE_DESK, KILL_TILL))):
        nodes.broken = True
    assert nodes.done[-1] == "resume desk"


def test_a_test_that_fails_keeps_its_own_error(wired_cell: WiredCell, nodes: Nodes) -> None:
    nodes.broken = True
    with pytest.raises(ValueError, match="invalid literal") as raised, Nemesis(wired_cell, Schedule((KILL_TILL,))):
        int("red")
    assert "no such file" in raised.value.__notes__[0]


def test_what_goes_wrong_at_an_anchor_is_raised_at_the_end(wired_cell: WiredCell, nodes: Nodes) -> None:
    wanted = Disturbance("latency", ("desk",), ("redis",), {"second": 1}, start=at(1))
    with (
        pytest.raises(TypeError, match="second"),
        Nemesis(wired_cell, Schedule((wanted,))),
        Client(wired_cell) as client,
    ):
        assert client.ask("INCR", "x")


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Disturbance("kiled", ("till",)), UsageError),
        (Disturbance("killed", ("nobody",)), FaultUnsupported),
        (Disturbance("killed", ()), UsageError),
        (Disturbance("partition", ("desk",), ("till",)), FaultUnsupported),
        (Disturbance("latency", ("redis",), ("till",)), FaultUnsupported),
        (Disturbance("killed", ("till",), start=Anchor("desk", "redis", "kafka", "Produce")), FaultUnsupported),
    ],
)
def test_what_the_cell_cannot_do_is_refused_before_anything_begins(
    wired_cell: WiredCell, nodes: Nodes, wanted: Disturbance, error: type[Exception]
) -> None:
    with pytest.raises(error), Nemesis(wired_cell, Schedule((FREEZE_DESK, wanted))):
        pass
    assert nodes.done == []
