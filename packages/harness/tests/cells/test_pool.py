from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from airproof.cells import WorkerCells
from airproof.environment.capabilities import ProcessState, ProcessStatus
from airproof.environment.topology import CellDescription, CellKind, Endpoint, Node, Role
from airproof.errors import CleanUpError, NotReady

NODE = Node("auth", Role.SERVICE, Endpoint("localhost", 1))


@dataclass
class Processes:
    status: ProcessStatus = ProcessStatus.RUNNING

    def state(self, node: str) -> ProcessState:
        return ProcessState(node, self.status, 1)


@dataclass
class Capabilities:
    processes: Processes = field(default_factory=Processes)
    logs: None = None


@dataclass
class Provision:
    made: dict[str, Capabilities] = field(default_factory=dict)
    returned: list[tuple[str, bool]] = field(default_factory=list)
    broken: bool = False

    def prepare_cell(self) -> None:
        self.lease_cell()

    def lease_cell(self, kind: CellKind = CellKind.PLAIN) -> CellDescription:
        name = f"{'c' if kind is CellKind.PLAIN else 'p'}{len(self.made) + 1}"
        self.made[name] = Capabilities()
        return CellDescription(name, (NODE,), kind=kind)

    def capabilities(self, cell: CellDescription) -> Capabilities:
        return self.made[cell.name]

    def return_cell(self, cell: CellDescription, *, reusable: bool) -> None:
        if self.broken:
            raise NotReady(f"{cell.name} cannot be removed")
        self.returned.append((cell.name, reusable))


@dataclass
class Platform:
    moving: list[str] = field(default_factory=list)
    barriers: int = 0
    failure: Exception | None = None

    def quiet(self) -> list[str]:
        self.barriers += 1
        if self.failure:
            raise self.failure
        return self.moving

    def close(self) -> None:
        pass


class Pool(WorkerCells):
    """The pool on fakes."""

    def __init__(self, make_platform: Callable[[], Platform] = Platform) -> None:
        self.provision = Provision()
        self.platforms: dict[str, Platform] = {}
        self.told: list[str] = []

        def connect(cell: CellDescription) -> Any:
            return self.platforms.setdefault(cell.name, make_platform())

        super().__init__(cast("Any", self.provision), connect, barrier_s=0.01, replaced=self.told.append)


def test_a_worker_keeps_its_cell() -> None:
    pool = Pool()
    pool.prefetch()
    assert pool.take() is pool.take()
    assert pool.leased == 1


def test_a_settled_cell_is_handed_out_without_another_barrier() -> None:
    pool = Pool()
    cell = pool.take()
    assert pool.settle(cell) == ""
    barriers = pool.platforms["c1"].barriers
    pool.take()
    assert pool.platforms["c1"].barriers == barriers


def test_a_cell_that_does_not_become_quiet_is_replaced() -> None:
    pool = Pool()
    cell = pool.take()
    pool.platforms["c1"].moving.append("3 rows in an outbox")
    assert "3 rows in an outbox" in pool.settle(cell)
    assert pool.take().description.name == "c2"
    assert pool.provision.returned == [("c1", False)]
    assert "3 rows in an outbox" in pool.told[0]


def test_a_cell_with_a_dead_process_is_replaced_even_if_it_was_settled() -> None:
    pool = Pool()
    pool.settle(pool.take())
    pool.provision.made["c1"].processes.status = ProcessStatus.EXITED
    assert pool.take().description.name == "c2"
    assert "auth is exited" in pool.told[0]


def test_a_cell_whose_platform_does_not_answer_is_replaced() -> None:
    pool = Pool()
    cell = pool.take()
    pool.platforms["c1"].failure = ConnectionRefusedError("no database")
    assert "no database" in pool.settle(cell)


def test_it_gives_up_when_a_new_cell_is_no_better() -> None:
    pool = Pool(lambda: Platform(moving=["a saga runs"]))
    with pytest.raises(NotReady, match="a saga runs"):
        pool.take()
    assert pool.leased == 2


def test_a_private_broker_is_dropped_when_it_is_not_needed_and_the_normal_cell_stays() -> None:
    pool = Pool()
    normal, private = pool.take(), pool.take(CellKind.PRIVATE_BROKER)
    assert private.description.private_broker
    assert pool.take(CellKind.PRIVATE_BROKER) is private
    assert pool.take() is normal
    assert pool.provision.returned == [("p2", False)]


def test_only_settled_cells_are_used_again() -> None:
    settled, unsettled = Pool(), Pool()
    settled.settle(settled.take())
    unsettled.prefetch()
    for pool in (settled, unsettled):
        pool.close()
    assert settled.provision.returned == [("c1", True)]
    assert unsettled.provision.returned == [("c1", False)]


def test_all_cells_are_given_back_even_if_one_cannot() -> None:
    pool = Pool()
    pool.take()
    pool.take(CellKind.PRIVATE_BROKER)
    pool.provision.broken = True
    with pytest.raises(CleanUpError, match="2 clean-up"):
        pool.close()
