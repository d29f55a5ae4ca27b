"""The smallest part of a schedule with which a test still fails: delta debugging.

The algorithm is `ddmin` of Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE
Transactions on Software Engineering 28(2), 2002. It splits what fails into parts; a part that fails alone replaces the
whole, else a complement that fails does, else the parts get smaller. The result is 1-minimal: without any one element
the test passes. It takes at most n² + 3n tries for n elements, and 2 log n where one element alone is to blame.

A test under faults may fail now and then only, so "fails" means: in at least k of n runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a test failed.

    Attributes:
        needed: how many failures make it count as failing.
        planned: how many runs there may be; they end early when it is decided.
    """

    failed: int
    runs: int
    needed: int
    planned: int

    @property
    def fails(self) -> bool:
        """Whether it counts as failing."""
        return self.failed >= self.needed

    @property
    def decided(self) -> bool:
        """Whether further runs would change nothing."""
        return self.fails or self.failed + self.planned - self.runs < self.needed

    def __str__(self) -> str:
        return f"failed {self.failed} of {self.runs}"


def tally(run: Callable[[], bool], *, needed: int, planned: int, to_the_end: bool = False) -> Tally:
    """Runs a test until it is decided whether it fails.

    Args:
        run: runs it once; whether it failed.
        to_the_end: goes on when it is decided, for a figure that can be compared.
    """
    seen = Tally(0, 0, needed, planned)
    while seen.runs < planned and (to_the_end or not seen.decided):
        seen = Tally(seen.failed + bool(run()), seen.runs + 1, needed, planned)
    return seen


def minimise(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """A 1-minimal part of the items that still fails, in their order.

    Args:
        items: all of them fail, as the caller has seen; they need not differ.
        fails: whether these fail. It is asked once for each part, and first whether nothing at all fails.
    """
    known: dict[tuple[int, ...], bool] = {}

    def fail(part: tuple[int, ...]) -> bool:
        if part not in known:
            known[part] = fails(tuple(items[place] for place in part))
        return known[part]

    if not items or fail(()):
        return ()
    left = tuple(range(len(items)))
    parts = 2
    while len(left) > 1:
        if smaller := _failing_part(left, parts, fail):
            left, parts = smaller
        elif parts < len(left):
            parts = min(2 * parts, len(left))
        else:
            break
    return tuple(items[place] for place in left)


def _failing_part(
    left: tuple[int, ...], parts: int, fail: Callable[[tuple[int, ...]], bool]
) -> tuple[tuple[int, ...], int] | None:
    """A part or a complement that fails, and into how many parts to split it next."""
    split = [left[len(left) * at // parts : len(left) * (at + 1) // parts] for at in range(parts)]
    for part in split:
        if fail(part):
            return part, 2
    if parts > 2:
        for part in split:
            rest = tuple(place for place in left if place not in part)
            if fail(rest):
                return rest, max(parts - 1, 2)
    return None
