"""Measures something several times; a figure is a median of all samples, a comparison is made within one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Unit:
    """What samples are counted in.

    Attributes:
        name: `s`, `/s`, `MB`.
        higher_is_better: whether a target is to be exceeded, as of rates.
    """

    name: str
    higher_is_better: bool = False

    def reaches(self, value: float, target: float) -> bool:
        """Whether the value is as good as the target, or better."""
        return value >= target if self.higher_is_better else value <= target


SECONDS = Unit("s")
MEGABYTES = Unit("MB")
PER_SECOND = Unit("/s", higher_is_better=True)
MEGABYTES_PER_SECOND = Unit("MB/s", higher_is_better=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        samples: every sample, in `unit`.
        target: what it is to reach, or None.
        alternative: the named alternative measured in the same run, in the same unit.
    """

    name: str
    samples: tuple[float, ...]
    target: float | None = None
    alternative: Figure | None = None
    unit: Unit = SECONDS

    @property
    def median(self) -> float:
        """The median of the samples."""
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        """How many times worse the alternative is."""
        if self.alternative is None:
            return None
        ratio = self.alternative.median / self.median
        return 1 / ratio if self.unit.higher_is_better else ratio

    @property
    def reached(self) -> bool | None:
        """Whether the median is within the target; None without a target."""
        return None if self.target is None else self.unit.reaches(self.median, self.target)

    def to_json(self) -> dict[str, object]:
        """The figure for reports/bench.json."""
        return {
            "name": self.name,
            "unit": self.unit.name,
            "median": self.median,
            "samples": self.samples,
            "target": self.target,
            "alternative": self.alternative.to_json() if self.alternative else None,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same load over several ways, each once in every round, so that a noisy minute disturbs all of them.

    Attributes:
        rounds: by way, the sample of every round; all ways have equally many.
        origin: the way that costs nothing, for what others add.
        rival: the way that ratios are taken against; None where it could not be had.
        shares: by way, the share of the rival's figure that it has to reach: 1 is as good.
        target: what every way with a share has to reach besides, or None.
    """

    name: str
    unit: Unit
    rounds: Mapping[str, tuple[float, ...]]
    origin: str
    rival: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    target: float | None = None

    def median(self, way: str) -> float:
        """The median of a way's rounds."""
        return median(self.rounds[way])

    def ratio(self, way: str, other: str) -> float:
        """The way's figure as a share of the other's: the median of the rounds' ratios."""
        return median(one / two for one, two in zip(self.rounds[way], self.rounds[other], strict=True))

    def added(self, way: str) -> float:
        """What the way adds to the origin: the median of the rounds' differences."""
        return median(one - two for one, two in zip(self.rounds[way], self.rounds[self.origin], strict=True))

    def reached(self, way: str) -> bool | None:
        """Whether the way has reached its share of the rival, and the target; None if nothing is asked of it."""
        if way not in self.shares:
            return None
        enough = self.target is None or self.unit.reaches(self.median(way), self.target)
        if self.rival is None:
            return enough if self.target is not None else None
        return enough and self.unit.reaches(self.ratio(way, self.rival), self.shares[way])

    def to_json(self) -> dict[str, object]:
        """The comparison for reports/bench.json."""
        return {
            "name": self.name,
            "unit": self.unit.name,
            "target": self.target,
            "rival": self.rival,
            "ways": {
                way: {
                    "median": self.median(way),
                    "samples": samples,
                    "of_origin": self.ratio(way, self.origin),
                    "of_rival": self.ratio(way, self.rival) if self.rival else None,
                    "share": self.shares.get(way),
                    "reached": self.reached(way),
                }
                for way, samples in self.rounds.items()
            },
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
