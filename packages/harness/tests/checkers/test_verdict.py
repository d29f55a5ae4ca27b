from __future__ import annotations

from airproof.checkers.verdict import Anomaly, Validity, Verdict, attempt, combine, judged, stuck
from airproof.errors import WaitTimeout

BROKEN = Anomaly("SAGA", "stuck", "every saga ends", "an end", "none", ("saga s1",))


def test_only_a_valid_verdict_is_true() -> None:
    assert judged("x", [])
    assert not judged("x", [BROKEN])
    assert not judged("x", [], unread=["bus"])


def test_an_anomaly_counts_though_something_could_not_be_read() -> None:
    assert judged("x", [BROKEN], unread=["bus"]).validity is Validity.INVALID


def test_unknown_says_what_could_not_be_read() -> None:
    assert "bus" in str(judged("x", [], unread=["bus"]))


def test_a_broken_checker_gives_unknown() -> None:
    def broken() -> Verdict:
        raise KeyError("lost")

    verdict = attempt("x", broken)
    assert verdict.validity is Validity.UNKNOWN
    assert "KeyError" in verdict.why_unknown


def test_one_unknown_makes_the_whole_unknown() -> None:
    verdict = combine([judged("a", []), judged("b", [], unread=["bus"])])
    assert verdict.validity is Validity.UNKNOWN
    assert verdict.checked == ("a", "b")


def test_nothing_checked_is_not_valid() -> None:
    assert not combine([])


def test_an_anomaly_tells_category_promise_expected_seen_and_witness() -> None:
    text = str(judged("x", [BROKEN]))
    for part in ("[SAGA/stuck]", "every saga ends", "an end", "none", "saga s1"):
        assert part in text


def test_what_does_not_go_on_is_told_with_the_promise_of_its_test() -> None:
    told = str(stuck("CACHE", "a read is fresh", WaitTimeout("waited 10 s for a read")))
    assert "CACHE/no-progress" in told
    assert all(text in told for text in ("a read is fresh", "waited 10 s for a read"))
