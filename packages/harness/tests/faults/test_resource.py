from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from airproof.environment.capabilities import Limit, Resource
from airproof.errors import FaultNotHealed, FaultUnsupported, NotReady
from airproof.faults.resource import full_disk, short_cpu, short_memory, short_open_files
from airproof.history import History

from .test_process import FakeCell


@dataclass
class Limits:
    """Takes down what it is told."""

    asked: list[tuple[str, Resource, float]] = field(default_factory=list)
    in_force: list[Limit] = field(default_factory=list)
    stuck: bool = False

    def limit(self, node: str, what: Resource, amount: float) -> Limit:
        self.asked.append((node, what, amount))
        self.in_force.append(Limit(node, what, f"{amount:g}, by hand"))
        return self.in_force[-1]

    def lift(self, limit: Limit) -> str:
        if self.stuck:
            raise NotReady("the control group is still there")
        self.in_force.remove(limit)
        return "gone"


Fault = Callable[[FakeCell], AbstractContextManager[Limit]]
FAULTS: dict[Resource, Fault] = {
    Resource.MEMORY: lambda cell: short_memory(cell, "desk", room_bytes=1000),
    Resource.CPU: lambda cell: short_cpu(cell, "desk", share=0.1),
    Resource.OPEN_FILES: lambda cell: short_open_files(cell, "desk", room=2),
    Resource.FILE_SIZE: lambda cell: full_disk(cell, "desk", largest_bytes=4096),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_limit_is_in_force_inside_its_block_and_lifted_after_it(what: Resource) -> None:
    limits = Limits()
    cell = FakeCell(None, resources=limits)
    with FAULTS[what](cell) as limit:
        assert limits.in_force == [limit]
        assert limits.asked[0][:2] == ("desk", what)
    assert limits.in_force == []
    (recorded,) = cell.history.recording().faults
    assert recorded.kind == f"short of {what.value}"
    assert "by hand" in recorded.evidence[0].what
    assert recorded.healed == "gone"


def test_a_limit_is_lifted_when_the_test_fails() -> None:
    limits = Limits()
    with pytest.raises(ValueError, match="invalid literal"), FAULTS[Resource.CPU](FakeCell(None, resources=limits)):
        int("red")
    assert limits.in_force == []


def test_a_limit_that_stays_is_not_healed() -> None:
    cell = FakeCell(None, History(), resources=Limits(stuck=True))
    with pytest.raises(FaultNotHealed, match="still short of memory"), FAULTS[Resource.MEMORY](cell):
        pass
    assert cell.history.recording().unhealed()


@pytest.mark.parametrize("what", FAULTS)
def test_a_provider_without_control_over_resources_is_refused(what: Resource) -> None:
    with pytest.raises(FaultUnsupported, match=f"cannot limit {what.value}"), FAULTS[what](FakeCell(None)):
        pass
