from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from airproof.environment.capabilities import (
    Lack,
    LogAccess,
    MigrationControl,
    ProcessControl,
    ProcessState,
    ProcessStatus,
    ResourceControl,
    StorageAccess,
)
from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, NotReady
from airproof.faults.process import NodeFault, killed, lacking, slow_start, stopped, suspended
from airproof.history import History

from .processes import Nodes

AT = Endpoint("127.0.0.1", 1)
CELL = CellDescription("c1", (Node("desk", Role.SERVICE, AT), Node("kafka", Role.KAFKA, AT)))
RUNNING, SUSPENDED, EXITED = ProcessStatus.RUNNING, ProcessStatus.SUSPENDED, ProcessStatus.EXITED
Fault = Callable[["FakeCell", str], AbstractContextManager[NodeFault]]


@dataclass
class FakeProcesses:
    """One process that does what it is told, unless it is told to be stubborn."""

    now: ProcessState = field(default_factory=lambda: ProcessState("desk", RUNNING, 1))
    stubborn: bool = False
    broken: bool = False
    careless: bool = False

    def state(self, node: str) -> ProcessState:
        return self.now

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        return self._become(EXITED, 0)

    def kill(self, node: str) -> ProcessState:
        return self._become(EXITED, -9)

    def suspend(self, node: str) -> ProcessState:
        return self._become(SUSPENDED)

    def resume(self, node: str) -> ProcessState:
        return self._become(RUNNING)

    def start(self, node: str, *, lacking: Lack | None = None) -> ProcessState:
        if self.broken or (lacking and not self.careless):
            raise NotReady("it exited again: no such file")
        self.now = ProcessState("desk", RUNNING, self.now.incarnation + 1)
        return self.now

    def _become(self, status: ProcessStatus, code: int | None = None) -> ProcessState:
        if not self.stubborn:
            self.now = ProcessState("desk", status, self.now.incarnation, code)
        return self.now


@dataclass
class FakeCell:
    """A cell of one process; also its own capabilities."""

    processes: ProcessControl | None
    history: History = field(default_factory=History)
    description: CellDescription = CELL
    logs: LogAccess | None = None
    resources: ResourceControl | None = None
    storage: StorageAccess | None = None
    migration: MigrationControl | None = None

    @property
    def capabilities(self) -> FakeCell:
        return self


@pytest.mark.parametrize(("fault", "status"), [(killed, EXITED), (stopped, EXITED), (suspended, SUSPENDED)])
def test_a_fault_is_in_force_inside_its_block_and_healed_after_it(fault: Fault, status: ProcessStatus) -> None:
    processes = FakeProcesses()
    cell = FakeCell(processes)
    with fault(cell, "desk") as made:
        assert processes.now.status is made.state.status is status
    assert processes.now.status is RUNNING
    (recorded,) = cell.history.recording().faults
    assert recorded.evidence
    assert recorded.healed


def test_a_fault_can_be_healed_before_its_block_ends() -> None:
    processes = FakeProcesses()
    with killed(FakeCell(processes), "desk") as fault:
        fault.heal()
        assert processes.now.incarnation == 2
    assert processes.now.incarnation == 2


def test_a_fault_heals_when_the_test_fails() -> None:
    processes = FakeProcesses()
    with pytest.raises(ValueError, match="red"), suspended(FakeCell(processes), "desk"):
        raise ValueError("red")
    assert processes.now.status is RUNNING


def test_a_frozen_node_may_be_killed() -> None:
    processes = FakeProcesses()
    cell = FakeCell(processes)
    with suspended(cell, "desk"), killed(cell, "desk"):
        pass
    assert processes.now.status is RUNNING
    assert not cell.history.recording().unhealed()


@pytest.mark.parametrize("fault", [killed, stopped, suspended])
def test_a_fault_that_does_not_take_effect_proves_nothing(fault: Fault) -> None:
    with pytest.raises(FaultNotObserved), fault(FakeCell(FakeProcesses(stubborn=True)), "desk"):
        pass


def test_a_node_that_does_not_come_back_is_not_healed() -> None:
    with pytest.raises(FaultNotHealed, match="no such file"), killed(FakeCell(FakeProcesses(broken=True)), "desk"):
        pass


@pytest.mark.parametrize("fault", [killed, stopped, suspended])
def test_a_provider_without_processes_is_refused(fault: Fault) -> None:
    with pytest.raises(FaultUnsupported), fault(FakeCell(None), "desk"):
        pass


def test_a_shared_broker_is_not_touched() -> None:
    with pytest.raises(FaultUnsupported, match="private_broker"), killed(FakeCell(FakeProcesses()), "kafka"):
        pass


@pytest.mark.parametrize(("fault", "explained"), [(killed, True), (stopped, True), (suspended, False)])
def test_only_an_exit_on_purpose_is_explained(fault: Fault, explained: bool) -> None:
    cell = FakeCell(FakeProcesses())
    with fault(cell, "desk"):
        pass
    explanations = cell.history.recording().explanations
    assert any(one.explains_exit("desk") for one in explanations) is explained
    assert not any(one.explains_exit("other") for one in explanations)


@pytest.mark.parametrize(("careless", "status"), [(False, EXITED), (True, RUNNING)])
def test_who_lacks_a_secret_is_told_it_again_afterwards(careless: bool, status: ProcessStatus) -> None:
    nodes = FakeProcesses(careless=careless)
    with lacking(cell := FakeCell(nodes), "desk", Lack("admin_key", blank=True)) as fault:
        assert fault.state.status is status
    assert nodes.now.status is RUNNING
    assert "an empty admin_key" in str(cell.history.recording().faults[0].evidence)


def test_a_slow_start_is_frozen_until_it_heals() -> None:
    nodes = Nodes()
    with slow_start(FakeCell(nodes), "desk") as fault:
        assert fault.state.status is SUSPENDED
        assert fault.state.incarnation == 2
    assert nodes.done == ["kill desk", "start desk", "suspend desk", "resume desk"]


def test_a_slow_start_that_fails_says_why() -> None:
    with pytest.raises(NotReady, match="no such file"), slow_start(FakeCell(Nodes(broken=True)), "desk"):
        pass
