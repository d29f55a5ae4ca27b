from __future__ import annotations

import pytest

from airproof.checkers.reads import GONE, CachedReads, Invalidation, Read
from airproof.checkers.verdict import Verdict

WRITTEN = {1: "a", 2: "b", 3: "c"}


def make_read(version: int, began: float, reader: str = "r1") -> Read:
    return Read(reader, began, began + 0.5, version, WRITTEN.get(version, ""))


def verdict_on(*reads: Read, done: tuple[Invalidation, ...] = (), stale_s: float = 0.0) -> Verdict:
    return CachedReads("thing 1", reads, done, WRITTEN, stale_s).judge()


def names(*reads: Read, done: tuple[Invalidation, ...] = (), stale_s: float = 0.0) -> list[str]:
    return [
        f"{anomaly.category}/{anomaly.name}" for anomaly in verdict_on(*reads, done=done, stale_s=stale_s).anomalies
    ]


def test_an_older_version_may_be_read_until_its_invalidation_was_consumed() -> None:
    assert names(make_read(1, 0.0), make_read(1, 0.9), make_read(2, 1.0), done=(Invalidation(2, 1.0),)) == []


def test_an_older_version_after_that_is_stale() -> None:
    verdict = verdict_on(make_read(1, 1.0), done=(Invalidation(2, 1.0),))
    (anomaly,) = verdict.anomalies
    assert anomaly.name == "stale-read"
    assert len(anomaly.witness) == 2


def test_a_declared_staleness_is_allowed() -> None:
    done = (Invalidation(2, 1.0),)
    assert names(make_read(1, 1.4), done=done, stale_s=0.5) == []
    assert names(make_read(1, 1.5), done=done, stale_s=0.5) == ["CACHE/stale-read"]


@pytest.mark.parametrize(("removed", "found"), [(True, []), (False, ["CACHE/stale-read"])])
def test_nothing_is_right_only_after_a_removal(removed: bool, found: list[str]) -> None:
    assert names(make_read(GONE, 2.0), done=(Invalidation(2, 1.0, removed),)) == found


def test_what_was_removed_is_stale() -> None:
    assert names(make_read(1, 2.0), done=(Invalidation(2, 1.0, removed=True),)) == ["CACHE/stale-read"]


def test_a_reader_may_not_go_back_and_two_readers_may_differ() -> None:
    assert names(make_read(2, 0.0), make_read(1, 1.0, "r2")) == []
    assert names(make_read(2, 0.0), make_read(1, 1.0)) == ["CACHE/read-goes-back"]


def test_nothing_in_between_does_not_let_a_reader_go_back() -> None:
    found = names(make_read(2, 0.0), make_read(GONE, 1.0), make_read(1, 2.0))
    assert found == ["CACHE/read-goes-back", "CACHE/vanished"]


def test_what_was_read_is_there_for_everybody_until_it_is_removed() -> None:
    reads = make_read(GONE, 0.0), make_read(1, 1.0), make_read(GONE, 1.2, "r2"), make_read(GONE, 2.0, "r2")
    assert names(*reads[:3]) == []
    assert names(*reads) == ["CACHE/vanished"]
    assert names(*reads, done=(Invalidation(2, 9.0, removed=True),)) == []


def test_a_value_that_was_never_written_is_found() -> None:
    assert names(Read("r1", 0.0, 1.0, 2, "z")) == ["CACHE/never-written"]
    assert names(Read("r1", 0.0, 1.0, 9, "a")) == ["CACHE/never-written"]


def test_no_reads_are_valid() -> None:
    assert verdict_on(done=(Invalidation(2, 1.0),))
