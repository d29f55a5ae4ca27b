"""Times something several times; a figure is a median of all samples, a comparison a ratio of medians in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        samples_s: every sample, in seconds.
        target_s: what it is to reach, or None.
        alternative: the named alternative measured in the same run.
    """

    name: str
    samples_s: tuple[float, ...]
    target_s: float | None = None
    alternative: Figure | None = None

    @property
    def median_s(self) -> float:
        """The median of the samples, in seconds."""
        return median(self.samples_s)

    @property
    def ratio(self) -> float | None:
        """How many times slower the alternative is."""
        return self.alternative.median_s / self.median_s if self.alternative else None

    @property
    def reached(self) -> bool | None:
        """Whether the median is within the target; None without a target."""
        return None if self.target_s is None else self.median_s <= self.target_s

    def to_json(self) -> dict[str, object]:
        """The figure for reports/bench.json."""
        return {
            "name": self.name,
            "median_s": self.median_s,
            "samples_s": self.samples_s,
            "target_s": self.target_s,
            "alternative": self.alternative.to_json() if self.alternative else None,
        }


@dataclass(slots=True)
class Stopwatch:
    """Collects samples: `with watch: …`."""

    samples_s: list[float] = field(default_factory=list)
    _began: float = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.samples_s.append(time.perf_counter() - self._began)


def repeat(action: Callable[[], object], times: int) -> tuple[float, ...]:
    """Calls `action` so often and returns how long each call took, in seconds."""
    watch = Stopwatch()
    for _ in range(times):
        with watch:
            action()
    return tuple(watch.samples_s)
