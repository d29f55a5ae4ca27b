"""Records and databases told by hand: what differs between them, and what lost its context on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airproof.checkers.bus import check_bus
from airproof.checkers.outbox import LARGE_BYTES
from airproof.checkers.verdict import Anomaly, Validity, Verdict
from airproof.platform.observation import BusMessage, MessageKind, OutboxRow

Story = Any
Names = Callable[[Verdict], set[str]]
LETTER = BusMessage(
    MessageKind.DEAD_LETTER,
    "dlq",
    0,
    1,
    "k",
    "bad",
    "car.made",
    "t1",
    "key-s1",
    headers={"dlq-cause": "too large", "dlq-source": "cars", "dlq-attempts": "1"},
)
HELD = OutboxRow("cars", "bad", "car.events", "failed", 5, "too large", "t1")


def test_a_stored_event_that_never_arrives(completed: Story, names: Names) -> None:
    completed.drop("car.made-s1")
    assert "OUTBOX/lost-message" in names(completed.judge())


def test_an_event_that_no_database_holds(completed: Story, names: Names) -> None:
    completed.again("car.made-s1", message_id="ghost", aggregate_id="car-9", key="car-9")
    assert names(completed.judge()) == {"OUTBOX/ghost-message"}


def test_an_event_that_the_harness_made_up_is_no_ghost(completed: Story) -> None:
    completed.again("car.made-s1", message_id="ghost", aggregate_id="car-9", key="car-9")
    assert completed.judge(foreign=frozenset({"ghost"}))


def test_what_the_harness_put_into_an_outbox_never_arrives(completed: Story, names: Names) -> None:
    assert names(completed.judge(foreign=frozenset({"ghost"}))) == {"OUTBOX/lost-message"}


def test_what_the_harness_sends_is_held_against_nobody(completed: Story) -> None:
    completed.again("car.made-s1", message_id="ghost", key="random", injected=True)
    assert completed.judge()


@pytest.mark.parametrize("unread", ["bus", "events", "mails"])
def test_the_bus_is_unknown_when_it_or_the_events_could_not_be_read(completed: Story, unread: str) -> None:
    completed.changes["unread"] = (unread,)
    sight = completed.readout()
    validity = Validity.VALID if unread == "mails" else Validity.UNKNOWN
    assert check_bus(sight.observation, sight.expectation).validity is validity


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"type": "car.sold"},
        {"aggregate_id": "car-9", "key": "car-9"},
        {"causation_id": "trip.started-s1"},
        {"payload": {"colour": "red"}},
    ],
)
def test_an_event_that_arrives_changed(completed: Story, names: Names, change: dict[str, Any]) -> None:
    completed.change("car.made-s1", **change)
    assert "OUTBOX/changed-message" in names(completed.judge())


def test_events_that_overtake_each_other(compensated: Story, names: Names) -> None:
    first, second = compensated.find("car.made-s1"), compensated.find("car.gone-s1")
    compensated.change("car.made-s1", offset=second.offset)
    compensated.change("car.gone-s1", offset=first.offset)
    assert "OUTBOX/reordered" in names(compensated.judge())


def test_events_may_overtake_one_that_was_parked(compensated: Story, names: Names) -> None:
    first, second = compensated.find("car.made-s1"), compensated.find("car.gone-s1")
    compensated.change("car.made-s1", offset=second.offset)
    compensated.change("car.gone-s1", offset=first.offset)
    assert "OUTBOX/reordered" not in names(compensated.judge(parked=frozenset({"car.made-s1"})))


def test_a_stream_with_a_gap(compensated: Story, names: Names) -> None:
    compensated.events = [replace(e, version=3) if e.event_type == "car.gone" else e for e in compensated.events]
    assert "ES/stream-broken" in names(compensated.judge())


def test_an_event_sent_twice_without_a_fault(completed: Story, names: Names) -> None:
    completed.again("car.made-s1")
    assert names(completed.judge(calm=True)) == {"OUTBOX/sent-twice"}


def test_one_id_for_two_messages(completed: Story, names: Names) -> None:
    completed.again("car.made-s1", body={"other": True})
    assert "BUS/id-reused" in names(completed.judge())


def test_a_message_without_an_id(completed: Story, names: Names) -> None:
    completed.change("r-book_car-execute-s1", message_id="")
    assert "BUS/no-id" in names(completed.judge())


def test_a_key_in_two_partitions(completed: Story, names: Names) -> None:
    completed.again("car.made-s1", partition=1)
    assert "BUS/key-spread" in names(completed.judge())


@pytest.mark.parametrize("id_", ["car.made-s1", "c-book_car-execute-s1", "r-book_car-execute-s1"])
@pytest.mark.parametrize("key", ["random", ""])
def test_a_record_with_another_key(completed: Story, names: Names, id_: str, key: str) -> None:
    completed.change(id_, key=key)
    verdict = completed.judge()
    assert "BUS/wrong-key" in names(verdict)
    assert (key or "none") in {anomaly.seen for anomaly in verdict.anomalies}


def test_an_event_of_a_saga_has_the_key_of_its_aggregate(completed: Story) -> None:
    completed.change("car.made-s1", saga_id="s1")
    assert completed.judge()


def test_a_record_that_contradicts_itself(completed: Story, names: Names) -> None:
    completed.change("car.made-s1", contradictions=("header tenant-id is 't2'",))
    assert "BUS/contradictory-record" in names(completed.judge())


def test_a_record_with_something_of_another_kind(completed: Story, names: Names) -> None:
    completed.change("car.made-s1", malformed=("version is a str",))
    assert names(completed.judge()) == {"CONTRACT/malformed-record"}


def test_a_secret_in_a_message(completed: Story, names: Names) -> None:
    completed.change("c-book_car-execute-s1", body={"password": "sesame-1"})
    assert "SECURITY/secret-on-the-bus" in names(completed.judge(secrets=("sesame-1",)))
    assert "SECURITY/secret-on-the-bus" not in names(completed.judge(secrets=("sesame-2",)))


def test_a_row_that_stays_in_the_outbox(completed: Story, names: Names) -> None:
    completed.changes["outbox"] = (HELD,)
    assert names(completed.judge()) == {"OUTBOX/not-drained"}


def test_a_row_that_should_be_parked_and_is_not(completed: Story, names: Names) -> None:
    assert "OUTBOX/not-parked" in names(completed.judge(held_back=frozenset({"bad"})))


def test_a_dead_letter_nobody_expects(completed: Story, names: Names) -> None:
    completed.bus.append(LETTER)
    assert names(completed.judge()) == {"BUS/parked"}
    completed.changes["outbox"] = (replace(HELD, message_id=LETTER.message_id),)
    assert names(completed.judge()) == {"OUTBOX/parked", "OUTBOX/not-drained"}


def test_a_dead_letter_that_is_missing(completed: Story, names: Names) -> None:
    assert "OUTBOX/no-dead-letter" in names(completed.judge(parked=frozenset({"bad"})))


@pytest.mark.parametrize("told", [{"dlq-cause": ""}, {"dlq-source": ""}, {"dlq-attempts": ""}, {"dlq-attempts": "0"}])
def test_a_dead_letter_without_its_cause(completed: Story, names: Names, told: dict[str, str]) -> None:
    completed.bus.append(replace(LETTER, headers={**LETTER.headers, **told}))
    assert names(completed.judge(parked=frozenset({"bad"}))) == {"OUTBOX/no-cause"}


def test_a_dead_letter_of_another_topic(completed: Story, names: Names) -> None:
    made = completed.find("car.made-s1")
    headers = {**LETTER.headers, **made.headers, "dlq-topic": "room.events"}
    completed.bus.append(replace(made, headers=headers, kind=MessageKind.DEAD_LETTER, topic="dlq", aggregate_id=""))
    assert names(completed.judge(parked=frozenset({"car.made-s1"}))) == {"OUTBOX/wrong-origin"}


@pytest.mark.parametrize(
    "change", [{"body": {"other": True}}, {"headers": {**LETTER.headers, "dlq-topic": "car.events"}}]
)
def test_a_dead_letter_that_is_not_the_original(completed: Story, names: Names, change: dict[str, Any]) -> None:
    completed.change("car.made-s1", headers={"message-id": "car.made-s1", "source": "cars"})
    made = completed.find("car.made-s1")
    letter = {
        "headers": {**made.headers, **LETTER.headers, "dlq-topic": made.topic},
        "kind": MessageKind.DEAD_LETTER,
        "topic": "dlq",
        "aggregate_id": "",
    }
    completed.bus.append(replace(made, **{**letter, **change}))
    assert names(completed.judge(parked=frozenset({"car.made-s1"}))) == {"OUTBOX/letter-changed"}


@pytest.mark.parametrize(("size", "found"), [(LARGE_BYTES, set()), (99, {"OUTBOX/letter-changed"})])
def test_a_dead_letter_may_be_without_a_body_that_is_too_large(
    completed: Story, names: Names, size: int, found: set[str]
) -> None:
    bad = replace(LETTER, kind=MessageKind.COMMAND, topic="dlq", injected=True, body={"padding": "x" * size})
    completed.bus += [bad, replace(LETTER, headers={**LETTER.headers, "dlq-topic": "dlq"}, body={})]
    assert names(completed.judge(parked=frozenset({LETTER.message_id}))) == found


def test_dead_letters_without_an_id_are_of_the_messages_with_their_keys(completed: Story, names: Names) -> None:
    made = replace(completed.find("car.made-s1"), message_id="", injected=True)
    for key in ("one", "other"):
        headers = {**LETTER.headers, "dlq-topic": made.topic}
        message = replace(made, key=key, body={"key": key}, headers={})
        letter = replace(message, headers=headers, kind=MessageKind.DEAD_LETTER, topic="dlq", aggregate_id="")
        completed.bus += [message, letter]
    assert names(completed.judge(parked=frozenset({""}))) == set()
    completed.bus[-1] = replace(completed.bus[-1], body={"key": "one"})
    assert names(completed.judge(parked=frozenset({""}))) == {"OUTBOX/letter-changed"}


def test_what_belongs_to_another_tenant(completed: Story, names: Names) -> None:
    completed.effects[0] = replace(completed.effects[0], tenant_id="t2")
    assert names(completed.judge()) == {"TENANCY/wrong-tenant"}


@pytest.mark.parametrize("told", ["key-s2", ""])
def test_a_message_that_lost_its_correlation(completed: Story, told: str) -> None:
    completed.change("c-book_car-execute-s1", correlation_id=told)
    anomaly = _anomaly(completed.judge(), "XSERVICE/correlation-lost")
    assert (anomaly.expected, anomaly.seen) == ("key-s1", told or "none")


def test_a_saga_without_a_correlation(completed: Story) -> None:
    [saga] = completed.observation().sagas
    completed.changes["sagas"] = (replace(saga, correlation_id=""),)
    completed.bus = [replace(message, correlation_id="") for message in completed.bus]
    anomaly = _anomaly(completed.judge(), "XSERVICE/correlation-lost")
    assert (anomaly.expected, anomaly.seen) == ("an id", "none")


@pytest.mark.parametrize("told", ["elsewhere", ""])
def test_a_message_that_lost_its_cause(completed: Story, told: str) -> None:
    completed.change("c-book_car-execute-s1", causation_id=told)
    assert _anomaly(completed.judge(), "XSERVICE/causation-lost").seen == (told or "none")


def test_who_was_asked_nothing_has_no_cause_to_name(completed: Story, names: Names) -> None:
    for id_ in ("c-book_car-execute-s1", "c-book_room-execute-s1", "c-send_ticket-execute-s1"):
        completed.drop(id_)
    assert "XSERVICE/causation-wrong" not in names(completed.judge())


def test_without_answers_none_is_asked_for_as_the_cause_of_an_end(completed: Story, names: Names) -> None:
    completed.bus = [message for message in completed.bus if message.kind is not MessageKind.REPLY]
    assert "XSERVICE/causation-wrong" not in names(completed.judge())


def test_an_event_caused_by_no_command_of_its_step(completed: Story, names: Names) -> None:
    completed.events = [replace(e, causation_id="s1") if e.event_type == "car.made" else e for e in completed.events]
    completed.change("car.made-s1", causation_id="s1")
    assert names(completed.judge()) == {"XSERVICE/causation-wrong"}


def test_a_reply_caused_by_another_message(completed: Story, names: Names) -> None:
    completed.change("r-book_car-execute-s1", causation_id="trip.started-s1")
    assert "XSERVICE/causation-wrong" in names(completed.judge())


def test_an_end_that_does_not_name_the_reply_it_comes_from(completed: Story, names: Names) -> None:
    end = "trip.completed"
    completed.events = [replace(e, causation_id="s1") if e.event_type == end else e for e in completed.events]
    completed.change(f"{end}-s1", causation_id="s1")
    assert names(completed.judge()) == {"XSERVICE/causation-wrong"}


@pytest.mark.parametrize("id_", ["c-book_car-execute-s1", "r-book_car-execute-s1", "car.made-s1"])
@pytest.mark.parametrize("told", ["post", ""])
def test_a_message_that_does_not_say_who_has_sent_it(completed: Story, names: Names, id_: str, told: str) -> None:
    completed.change(id_, headers={"source": told})
    assert names(completed.judge()) == {"XSERVICE/sender-wrong"}


def test_what_the_harness_sends_is_nobody_s(completed: Story) -> None:
    completed.again("c-book_car-execute-s1", headers={"source": "airproof"}, injected=True)
    assert completed.judge()


def _anomaly(verdict: Verdict, name: str) -> Anomaly:
    return next(one for one in verdict.anomalies if f"{one.category}/{one.name}" == name)
