from __future__ import annotations

from dataclasses import replace

from airproof.checkers.streams import Attempt, EntityStream
from airproof.platform.observation import Snapshot, StoredEvent, Update, UpdateOutcome

DONE, CONFLICT, UNKNOWN = UpdateOutcome.DONE, UpdateOutcome.CONFLICT, UpdateOutcome.UNKNOWN


def make_stream(*versions: int) -> list[StoredEvent]:
    return [
        StoredEvent("s", f"e{place}", "thing.changed", "1", version, "t", "c") for place, version in enumerate(versions)
    ]


def attempt(version: int, value: str, outcome: UpdateOutcome, key: str = "") -> Attempt:
    return Attempt(version, value, Update(outcome), key)


def told(version: int, value: str, shown: Snapshot) -> Attempt:
    return Attempt(version, value, Update(DONE, shown))


def names(stream: list[StoredEvent], truth: Snapshot | None, *attempts: Attempt) -> list[str]:
    return [
        f"{anomaly.category}/{anomaly.name}"
        for anomaly in EntityStream("thing 1", tuple(stream), attempts, truth).judge().anomalies
    ]


def test_one_winner_and_a_loser_are_valid() -> None:
    assert names(make_stream(1, 2), Snapshot("1", 2, "a"), attempt(1, "a", DONE), attempt(1, "b", CONFLICT)) == []


def test_an_untouched_entity_is_valid() -> None:
    assert names(make_stream(1), Snapshot("1", 1, "new")) == []


def test_an_unknown_update_may_be_there_or_not() -> None:
    unknown = attempt(1, "a", UNKNOWN)
    assert names(make_stream(1), Snapshot("1", 1, "new"), unknown) == []
    assert names(make_stream(1, 2), Snapshot("1", 2, "a"), unknown) == []


def test_the_last_event_tells_the_state() -> None:
    first, last = make_stream(1, 2)
    attempts = (attempt(1, "a", DONE),)
    assert names([first, replace(last, payload={"name": "a"})], Snapshot("1", 2, "a"), *attempts) == []
    assert names([first, replace(last, payload={"name": "b"})], Snapshot("1", 2, "a"), *attempts) == [
        "ES/event-tells-otherwise"
    ]


def test_an_earlier_event_tells_what_its_own_request_has_changed() -> None:
    first, second, last = make_stream(1, 2, 3)
    attempts = attempt(1, "a", DONE), attempt(2, "b", DONE)
    for told, found in (("a", []), ("b", ["ES/event-tells-otherwise"])):
        events = [first, replace(second, payload={"name": told}), replace(last, payload={"name": "b"})]
        assert names(events, Snapshot("1", 3, "b"), *attempts) == found


def test_all_events_speak_of_the_same_things() -> None:
    first, last = make_stream(1, 2)
    first = replace(first, payload={"owner_id": "u1", "name": "new"})
    attempts, truth = (attempt(1, "a", DONE),), Snapshot("1", 2, "a")
    for owner, found in (("u1", []), ("u2", ["ES/speaks-of-another"])):
        last = replace(last, payload={"owner_id": owner, "name": "a"})
        assert names([first, last], truth, *attempts) == found


def test_an_event_of_an_update_tells_all_that_it_is_declared_to() -> None:
    first, last = make_stream(1, 2)
    for payload, found in (({"name": "a", "owner_id": "u"}, []), ({"name": "a"}, ["event-lacks"])):
        events, attempts = (first, replace(last, payload=payload)), (attempt(1, "a", DONE),)
        verdict = EntityStream("thing 1", events, attempts, Snapshot("1", 2, "a"), tells=("name", "owner_id")).judge()
        assert [one.name for one in verdict.anomalies] == found


def test_one_key_is_one_update() -> None:
    tries = attempt(1, "a", UNKNOWN, "k"), attempt(1, "a", DONE, "k"), attempt(1, "a", DONE, "k")
    assert names(make_stream(1, 2), Snapshot("1", 2, "a"), *tries) == []


def test_one_key_is_not_two_updates() -> None:
    for version, value in ((1, "b"), (2, "a")):
        both = attempt(1, "a", DONE, "k"), attempt(version, value, DONE, "k")
        assert "CONTRACT/key-reused" in names(make_stream(1, 2), Snapshot("1", 2, "a"), *both)


def test_a_version_that_is_there_twice_or_missing_is_a_gap() -> None:
    both = attempt(1, "a", DONE), attempt(1, "b", DONE)
    assert names(make_stream(1, 2, 2), Snapshot("1", 2, "b"), *both) == ["ES/version-gap", "ES/two-winners"]
    chain = attempt(1, "a", DONE), attempt(2, "b", DONE)
    assert "ES/version-gap" in names(make_stream(1, 2, 4), Snapshot("1", 4, "b"), *chain)


def test_an_update_that_is_not_in_the_stream_is_lost() -> None:
    assert "ES/update-lost" in names(make_stream(1), Snapshot("1", 1, "new"), attempt(1, "a", DONE))


def test_an_update_that_was_refused_and_is_in_the_stream_was_not_undone() -> None:
    first, second, third = make_stream(1, 2, 3)
    events = [first, replace(second, payload={"name": "a"}), replace(third, payload={"name": "b"})]
    tries = attempt(1, "a", DONE), attempt(2, "b", CONFLICT)
    assert names(events, Snapshot("1", 3, "b"), *tries)[0] == "UOW/refused-and-done"
    assert "UOW/refused-and-done" not in names(events, Snapshot("1", 3, "b"), *tries, attempt(2, "b", DONE))


def test_more_in_the_stream_than_was_asked_for_was_done_twice() -> None:
    tries = attempt(1, "a", UNKNOWN, "k"), attempt(1, "a", DONE, "k")
    assert "ES/update-done-twice" in names(make_stream(1, 2, 3), Snapshot("1", 3, "a"), *tries)


def test_a_state_that_the_stream_does_not_explain_differs() -> None:
    done = attempt(1, "a", DONE)
    assert names(make_stream(1, 2), Snapshot("1", 2, "z"), done) == ["ES/state-differs"]
    assert names(make_stream(1, 2), Snapshot("1", 1, "a"), done) == ["ES/state-differs"]
    assert names(make_stream(1, 2), None, done) == ["ES/state-differs"]


def test_an_update_is_answered_with_what_it_has_made() -> None:
    truth = Snapshot("1", 2, "a")
    assert names(make_stream(1, 2), truth, told(1, "a", truth)) == []
    for other in (Snapshot("1", 1, "a"), Snapshot("1", 2, "new"), Snapshot("2", 2, "a")):
        assert names(make_stream(1, 2), truth, told(1, "a", other)) == ["ES/answer-differs"]


def test_an_update_that_was_done_is_not_refused_when_it_is_asked_for_again() -> None:
    truth, done, again = Snapshot("1", 2, "a"), attempt(1, "a", DONE, "k"), attempt(1, "a", CONFLICT, "k")
    assert names(make_stream(1, 2), truth, done, again) == ["CONTRACT/repeat-refused"]
    assert names(make_stream(1, 2), truth, again, done) == []
    assert names(make_stream(1, 2), truth, done, attempt(1, "b", CONFLICT, "k"), attempt(1, "a", CONFLICT)) == []


def test_an_update_at_the_last_version_conflicts_with_nobody() -> None:
    truth, done, last = Snapshot("1", 2, "a"), attempt(1, "a", DONE, "k"), attempt(2, "b", CONFLICT)
    assert names(make_stream(1, 2), truth, done, last) == ["ES/conflict-with-nobody"]
    assert names(make_stream(1, 2), truth, done, attempt(1, "b", CONFLICT), attempt(3, "b", CONFLICT)) == []
    assert names(make_stream(1, 2), truth, done, attempt(2, "b", CONFLICT, "k")) == []


def test_an_event_names_the_request_that_it_comes_from() -> None:
    first, last = make_stream(1, 2)
    tries = [replace(attempt(1, "a", one), correlation_id=f"c{one.value}") for one in (UNKNOWN, DONE, CONFLICT)]
    for correlation_id, seen in {"cunknown": [], "cdone": [], "cconflict": ["XSERVICE/correlation-lost"]}.items():
        stream = [first, replace(last, correlation_id=correlation_id)]
        assert names(stream, Snapshot("1", 2, "a"), *tries) == seen


def test_an_event_is_of_its_entitys_tenant() -> None:
    stream = EntityStream("thing 1", tuple(make_stream(1)), (), Snapshot("1", 1, "new"), "t")
    assert stream.judge().anomalies == ()
    other = replace(stream, tenant_id="u").judge()
    assert [f"{one.category}/{one.name}" for one in other.anomalies] == ["TENANCY/tenant-lost"]


def test_what_is_removed_is_gone_and_its_stream_says_so() -> None:
    *lived, last = make_stream(1, 2, 3)
    update, removal = attempt(1, "a", DONE), replace(last, event_type="thing.removed")

    def judged(truth: Snapshot | None, *stream: StoredEvent) -> list[str]:
        verdict = EntityStream("thing 1", stream, (update,), truth, removed="thing.removed").judge()
        return [f"{anomaly.category}/{anomaly.name}" for anomaly in verdict.anomalies]

    assert judged(None, *lived, removal) == []
    assert judged(Snapshot("1", 2, "a"), *lived, removal) == ["ES/removed-and-there"]
    assert judged(None, *lived) == ["ES/removed-and-there"]
    assert judged(None, lived[0], replace(removal, version=2)) == ["ES/update-lost"]
