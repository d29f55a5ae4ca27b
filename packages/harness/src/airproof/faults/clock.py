"""The platform's clock moved: something that a driver may offer, for a platform whose clock can be told the time.

Where it is not offered, the fault raises `FaultUnsupported`; a test that is about nothing else asks `can_shift` first
and is skipped visibly. (Libraries that move a process's clock from outside stop Python 3.11 from waking up.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported
from airproof.faults.targets import Target

TOLERANCE_S = 1.0
"""How far a clock may be from where it was put: it goes on, and asking takes time."""


@runtime_checkable
class ClockControl(Protocol):
    """What a platform offers whose clock can be moved: `platform.clock` is one."""

    def offset_s(self, service: str) -> float:
        """How far the service's clock is ahead of the machine's, as the service itself says."""
        ...

    def shift(self, service: str, offset_s: float) -> None:
        """Puts the service's clock so far ahead, or back if it is negative; 0 is as it was."""
        ...


class TimedTarget(Target, Protocol):
    """A cell whose platform may offer control over clocks."""

    @property
    def platform(self) -> object: ...


def can_shift(target: TimedTarget) -> bool:
    """Whether the platform of the cell offers control over its clocks."""
    return isinstance(getattr(target.platform, "clock", None), ClockControl)


@contextmanager
def shifted_clock(target: TimedTarget, service: str, offset_s: float) -> Iterator[None]:
    """The service's clock is so many seconds ahead, or back if they are negative; right again afterwards.

    Raises:
        FaultUnsupported: the platform offers no control over its clocks.
        FaultNotObserved: the clock did not move.
        FaultNotHealed: it is still off.
    """
    clock = getattr(target.platform, "clock", None)
    if not isinstance(clock, ClockControl):
        raise FaultUnsupported(
            f"cannot move the clock of {service!r}: the platform's driver offers no `clock` (see {__name__})"
        )
    with target.history.fault("clock shifted", service, offset_s=offset_s) as record:
        before = clock.offset_s(service)
        try:
            clock.shift(service, offset_s)
            seen = clock.offset_s(service)
            if abs(seen - offset_s) > TOLERANCE_S:
                raise FaultNotObserved(f"the clock of {service!r} is {seen:+g} s off, not {offset_s:+g} s")
            record.evidence(f"the clock of {service} is {seen:+g} s off", offset_s=seen)
            yield
        finally:
            clock.shift(service, before)
            left = clock.offset_s(service)
            if abs(left - before) > TOLERANCE_S:
                raise FaultNotHealed(f"the clock of {service!r} is still {left:+g} s off")
            record.healed(f"the clock of {service} is {left:+g} s off")
