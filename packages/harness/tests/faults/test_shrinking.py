from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airproof.faults.nemesis.shrinking import minimise, tally

Fails = Callable[[tuple[int, ...]], bool]


def needs(*wanted: int) -> Fails:
    return lambda items: set(wanted) <= set(items)


@pytest.mark.parametrize("wanted", [(0,), (7,), (0, 7), (2, 3, 5), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_what_is_needed_is_left(wanted: tuple[int, ...]) -> None:
    assert minimise(range(8), needs(*wanted)) == wanted


def test_nothing_is_left_when_it_fails_without_anything() -> None:
    assert minimise(range(8), lambda _: True) == ()
    assert minimise((), lambda _: False) == ()


def test_no_part_is_tried_twice() -> None:
    tried: list[tuple[int, ...]] = []

    def fails(items: tuple[int, ...]) -> bool:
        tried.append(items)
        return {1, 6} <= set(items)

    minimise(range(8), fails)
    assert len(tried) == len(set(tried))


def test_one_culprit_among_many_is_found_in_few_tries() -> None:
    tried = 0

    def fails(items: tuple[int, ...]) -> bool:
        nonlocal tried
        tried += 1
        return 37 in items

    assert minimise(range(64), fails) == (37,)
    assert tried <= 1 + 2 * 6


@given(st.integers(1, 12), st.data())
def test_the_result_fails_and_nothing_in_it_can_be_left_out(size: int, data: st.DataObject) -> None:
    causes = data.draw(st.lists(st.frozensets(st.integers(0, size - 1), min_size=1), min_size=1, max_size=4))

    def fails(items: tuple[int, ...]) -> bool:
        return any(cause <= set(items) for cause in causes)

    whole = tuple(range(size))
    left = minimise(whole, fails)
    assert fails(left)
    assert not any(fails(left[:at] + left[at + 1 :]) for at in range(len(left)))


@pytest.mark.parametrize(
    ("outcomes", "failed", "runs", "fails"),
    [("FFF..", 3, 3, True), ("..F.F", 0, 2, False), (".F.FF", 1, 3, False), ("F.FF.", 3, 4, True)],
)
def test_runs_end_when_it_is_decided(outcomes: str, failed: int, runs: int, fails: bool) -> None:
    left = iter(outcomes)
    needed = 3 if fails else 4
    seen = tally(lambda: next(left) == "F", needed=needed, planned=5)
    assert (seen.failed, seen.runs, seen.fails) == (failed, runs, fails)


def test_runs_go_on_for_a_full_figure() -> None:
    left = iter("FF.F.")
    seen = tally(lambda: next(left) == "F", needed=2, planned=5, to_the_end=True)
    assert str(seen) == "failed 3 of 5"
