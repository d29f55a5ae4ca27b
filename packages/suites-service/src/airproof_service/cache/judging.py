"""Judges what readers saw of one entity: never older than the rules of its cache allow.

Histories of several entities are judged one entity at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from airproof.checkers.verdict import Anomaly, Verdict, judged

CATEGORY = "CACHE"
GONE = 0
FRESH = "after an invalidation was consumed, no read shows what it invalidated"
FORWARD = "what one reader sees never goes back to an older version"
WRITTEN = "a read shows what was written, and nothing that was not"


@dataclass(frozen=True, slots=True)
class Read:
    """A read that was answered.

    Attributes:
        began, ended: seconds on the history's clock.
        version: the version shown; `GONE` where nothing was shown.
    """

    reader: str
    began: float
    ended: float
    version: int
    value: str = ""

    def __str__(self) -> str:
        shown = f"version {self.version} {self.value!r}" if self.version else "nothing"
        return f"{self.reader} read {shown} between {self.began:.3f} and {self.ended:.3f} s"


@dataclass(frozen=True, slots=True)
class Invalidation:
    """A version whose event is known to have been consumed.

    Attributes:
        at: the time at which that was seen, in seconds on the history's clock.
        removed: whether the version says that the entity is gone.
    """

    version: int
    at: float
    removed: bool = False

    def __str__(self) -> str:
        return f"the invalidation of version {self.version} was consumed by {self.at:.3f} s"


def judge_reads(
    reads: Iterable[Read], invalidations: Iterable[Invalidation], written: dict[int, str], *, stale_s: float = 0.0
) -> Verdict:
    """The verdict on all reads of one entity.

    Args:
        written: the value of every version that was committed, or may have been.
        stale_s: how long after the consumption of an invalidation an older version may still be read.
    """
    all_reads = sorted(reads, key=lambda read: read.began)
    done = list(invalidations)
    anomalies = [*_stale(all_reads, done, stale_s), *_backward(all_reads), *_unwritten(all_reads, written)]
    return judged("cached reads", anomalies)


def _stale(reads: list[Read], invalidations: list[Invalidation], stale_s: float) -> Iterator[Anomaly]:
    for read in reads:
        before = [one for one in invalidations if one.at + stale_s <= read.began]
        newest = max(before, key=lambda one: one.version, default=None)
        if newest is None or (read.version == GONE and newest.removed) or read.version >= newest.version > GONE:
            continue
        expected = "nothing" if newest.removed else f"version {newest.version} or a later one"
        yield Anomaly(CATEGORY, "stale-read", FRESH, expected, _shown(read), (str(newest), str(read)))
        return


def _backward(reads: list[Read]) -> Iterator[Anomaly]:
    of_reader: dict[str, list[Read]] = defaultdict(list)
    for read in reads:
        of_reader[read.reader].append(read)
    for own in of_reader.values():
        for earlier, later in pairwise(own):
            if GONE != later.version < earlier.version:
                expected = f"version {earlier.version} or a later one"
                witness = (str(earlier), str(later))
                yield Anomaly(CATEGORY, "read-goes-back", FORWARD, expected, _shown(later), witness)
                return


def _unwritten(reads: list[Read], written: dict[int, str]) -> Iterator[Anomaly]:
    for read in reads:
        if read.version != GONE and written.get(read.version) != read.value:
            expected = f"one of {written}"
            yield Anomaly(CATEGORY, "never-written", WRITTEN, expected, _shown(read), (str(read),))
            return


def _shown(read: Read) -> str:
    return f"version {read.version} {read.value!r}" if read.version else "nothing"
