"""Reads through a cache: what readers see of one entity is never older than the rules of its cache allow.

An entity is a register with versions. Whoever changes it knows the version that it has made, so no order has to be
searched for: each read is compared with what was known to be consumed before it, with the same reader's read before,
and with what was written. Several entities are judged one at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airproof.checkers.verdict import Anomaly, Verdict, judged

CATEGORY = "CACHE"
GONE = 0
FRESH = "after an invalidation was consumed, no read shows what it invalidated"
FORWARD = "what one reader sees never goes back to an older version"
THERE = "what was there is read, until it is removed"
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


@dataclass(frozen=True, slots=True)
class CachedReads:
    """All reads of one entity, and what they may have shown.

    Attributes:
        entity: its kind and id, for the reader.
        written: the value of every version that was committed, or may have been.
        stale_s: how long after the consumption of an invalidation an older version may still be read.
    """

    entity: str
    reads: tuple[Read, ...]
    invalidations: tuple[Invalidation, ...]
    written: dict[int, str]
    stale_s: float = 0.0

    def judge(self) -> Verdict:
        """The checker's verdict on them."""
        return check_reads(self)


def check_reads(seen: CachedReads) -> Verdict:
    """Judges every read of the entity."""
    reads = sorted(seen.reads, key=lambda read: read.began)
    anomalies = [
        *_stale(reads, seen.invalidations, seen.stale_s),
        *_backward(reads),
        *_vanished(reads, seen.invalidations),
        *_unwritten(reads, seen.written),
    ]
    return judged("cached reads", anomalies)


def _stale(reads: list[Read], invalidations: Iterable[Invalidation], stale_s: float) -> Iterator[Anomaly]:
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
        newest = own[0]
        for later in own:
            if GONE != later.version < newest.version:
                expected = f"version {newest.version} or a later one"
                witness = (str(newest), str(later))
                yield Anomaly(CATEGORY, "read-goes-back", FORWARD, expected, _shown(later), witness)
                return
            newest = max(newest, later, key=lambda read: read.version)


def _vanished(reads: list[Read], invalidations: Iterable[Invalidation]) -> Iterator[Anomaly]:
    """What was shown is shown to whoever asks later, unless it is removed."""
    shown = min((read for read in reads if read.version != GONE), key=lambda read: read.ended, default=None)
    if shown is None or any(one.removed for one in invalidations):
        return
    for read in reads:
        if read.version == GONE and read.began >= shown.ended:
            expected, witness = f"version {shown.version} or a later one", (str(shown), str(read))
            yield Anomaly(CATEGORY, "vanished", THERE, expected, _shown(read), witness)
            return


def _unwritten(reads: list[Read], written: dict[int, str]) -> Iterator[Anomaly]:
    for read in reads:
        if read.version != GONE and written.get(read.version) != read.value:
            expected = f"one of {written}"
            yield Anomaly(CATEGORY, "never-written", WRITTEN, expected, _shown(read), (str(read),))
            return


def _shown(read: Read) -> str:
    return f"version {read.version} {read.value!r}" if read.version else "nothing"
