from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from airproof.environment.topology import CellDescription
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported
from airproof.faults.clock import can_shift, shifted_clock
from airproof.history import History

from .test_process import CELL, FakeCell


@dataclass
class Clock:
    offset: float = 0.0
    stuck_at: float | None = None

    def offset_s(self, service: str) -> float:
        return self.offset

    def shift(self, service: str, offset_s: float) -> None:
        if self.stuck_at is None:
            self.offset = offset_s


@dataclass
class TimedPlatform:
    clock: Clock | None = field(default_factory=Clock)


@dataclass
class TimedCell:
    platform: TimedPlatform = field(default_factory=TimedPlatform)
    history: History = field(default_factory=History)
    description: CellDescription = CELL
    capabilities: FakeCell = field(default_factory=lambda: FakeCell(None))


def test_a_clock_is_ahead_inside_the_block_and_right_after_it() -> None:
    cell = TimedCell()
    assert cell.platform.clock
    with shifted_clock(cell, "desk", 3600):
        assert cell.platform.clock.offset == 3600
    assert cell.platform.clock.offset == 0
    (recorded,) = cell.history.recording().faults
    assert recorded.evidence[0].what == "the clock of desk is +3600 s off"
    assert recorded.healed


def test_a_platform_without_it_is_refused() -> None:
    cell = TimedCell(TimedPlatform(clock=None))
    assert not can_shift(cell)
    assert can_shift(TimedCell())
    with pytest.raises(FaultUnsupported, match="offers no `clock`"), shifted_clock(cell, "desk", 1):
        pass


def test_a_clock_that_does_not_move_proves_nothing() -> None:
    with pytest.raises(FaultNotObserved), shifted_clock(TimedCell(TimedPlatform(Clock(stuck_at=0))), "desk", 60):
        pass


def test_a_clock_that_stays_off_is_not_healed() -> None:
    cell = TimedCell()
    clock = cell.platform.clock
    assert clock
    with pytest.raises(FaultNotHealed, match=r"\+60 s off"), shifted_clock(cell, "desk", 60):
        clock.stuck_at = 60
