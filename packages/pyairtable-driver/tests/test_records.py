from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airproof.platform.observation import MessageKind
from airproof_pyairtable.manifest import DEAD_LETTERS
from airproof_pyairtable.records import older, read_record

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "event_type": "user.created",
    "aggregate_id": "u1",
    "aggregate_type": "user",
    "version": 1,
    "timestamp": "2026-01-01T00:00:00Z",
    "tenant_id": "t1",
    "payload": {},
    "metadata": {"correlation_id": "k1", "causation_id": "c1", "source": "user-service"},
}
REPLY: dict[str, Any] = {
    "message_id": "r1",
    "in_reply_to": "c1",
    "saga_id": "s1",
    "step": "create_profile",
    "action": "execute",
    "outcome": "done",
    "reason": None,
    "result": {},
    "tenant_id": "t1",
    "correlation_id": "k1",
}
COMMON = {"tenant-id": "t1", "correlation-id": "k1", "causation-id": "c1", "source": "user-service"}
OF_EVENT = {**COMMON, "message-id": "e1", "kind": "event", "type": "user.created"}
OF_REPLY = {**COMMON, "message-id": "r1", "kind": "reply", "type": "create_profile.execute", "saga-id": "s1"}


def make_record(topic: str, headers: dict[str, str], body: object, partition: int = 0) -> Any:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    encoded = [(name, text.encode()) for name, text in headers.items()]
    return SimpleNamespace(
        topic=f"c1.{topic}", partition=partition, offset=7, key=b"u1", value=value, headers=encoded, timestamp=1
    )


def test_an_event_is_read() -> None:
    message = read_record(make_record("pyairtable.user.events", OF_EVENT, EVENT), "c1.")
    assert (message.kind, message.message_id, message.version) == (MessageKind.EVENT, "e1", 1)
    assert message.topic == "pyairtable.user.events"
    assert message.contradictions == message.malformed == ()


def test_a_reply_is_read() -> None:
    message = read_record(make_record("pyairtable.sagas.replies", OF_REPLY, REPLY), "c1.")
    assert (message.outcome, message.in_reply_to, message.saga_id) == ("done", "c1", "s1")
    assert message.contradictions == message.malformed == ()


@pytest.mark.parametrize("wrong", [{"version": "1"}, {"payload": None}, {"timestamp": 1.5}])
def test_what_is_of_another_kind_is_named(wrong: dict[str, Any]) -> None:
    message = read_record(make_record("pyairtable.user.events", OF_EVENT, {**EVENT, **wrong}), "c1.")
    assert [what.partition(" ")[0] for what in message.malformed] == list(wrong)


@pytest.mark.parametrize(
    ("outcome", "result", "lacking"),
    [("done", {"user_id": "u1"}, []), ("done", {"id": "u1"}, ["result.user_id"]), ("refused", {}, [])],
)
def test_a_reply_that_lacks_what_later_steps_need_is_named(outcome: str, result: object, lacking: list[str]) -> None:
    reply = {**REPLY, "step": "create_credentials", "outcome": outcome, "result": result}
    message = read_record(make_record("pyairtable.sagas.replies", OF_REPLY, reply), "c1.")
    assert [what.partition(" ")[0] for what in message.malformed] == lacking


@pytest.mark.parametrize("name", ["message-id", "type", "tenant-id", "correlation-id", "causation-id", "source"])
def test_a_header_that_contradicts_the_body_is_named(name: str) -> None:
    record = make_record("pyairtable.user.events", {**OF_EVENT, name: "other"}, EVENT)
    assert name in "; ".join(read_record(record, "c1.").contradictions)


def test_an_event_on_another_topic_is_a_contradiction() -> None:
    assert read_record(make_record("pyairtable.workspace.events", OF_EVENT, EVENT), "c1.").contradictions


def test_an_event_in_another_partition_than_its_key_belongs_in_is_a_contradiction() -> None:
    records = (make_record("pyairtable.user.events", OF_EVENT, EVENT, partition) for partition in range(2))
    found = [read_record(record, "c1.", partitions=2) for record in records]
    assert sorted(len(one.contradictions) for one in found) == [0, 1]


@pytest.mark.parametrize("wrong", [{"version": None}, {"version": "v2"}, {"version": [1]}, {"metadata": "x"}])
def test_an_event_of_any_form_is_read(wrong: dict[str, Any]) -> None:
    message = read_record(make_record("pyairtable.user.events", OF_EVENT, EVENT | wrong), "c1.")
    assert message.message_id == "e1"
    assert message.malformed or message.contradictions


def test_a_step_of_any_form_is_read() -> None:
    body = REPLY | {"step": ["create_profile"]}
    assert read_record(make_record("pyairtable.sagas.replies", OF_REPLY, body), "c1.").contradictions


def test_a_header_that_stands_twice_has_a_line_for_each_time() -> None:
    record = make_record("pyairtable.user.events", OF_EVENT, EVENT)
    record.headers += [("baggage", b"one"), ("baggage", b"another")]
    message = read_record(record, "c1.")
    assert (message.headers["baggage"], message.contradictions) == ("one\nanother", ())


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b"\xff"])
def test_a_body_that_cannot_be_read_is_a_contradiction(body: bytes) -> None:
    assert read_record(make_record("pyairtable.user.events", OF_EVENT, body), "c1.").contradictions


def test_a_dead_letter_may_say_what_it_likes() -> None:
    message = read_record(make_record(DEAD_LETTERS, OF_EVENT, b"nonsense"), "c1.")
    assert (message.kind, message.contradictions) == (MessageKind.DEAD_LETTER, ())


def test_a_body_that_tells_a_time_is_made_older() -> None:
    body = {"timestamp": "2026-03-02T10:00:00+00:00", "step": "one"}
    assert older(body, 2) == {"timestamp": "2026-02-28T10:00:00+00:00", "step": "one"}
    assert older({"step": "one"}, 2) == {"step": "one"}


@pytest.mark.parametrize(
    ("stamp", "told_at_ms"),
    [
        ("1970-01-01T00:00:01.0019Z", 1001.9),
        ("1970-01-01T01:00:01+01:00", 1000),
        ("1970-01-01T00:00:01", 0),
        ("soon", 0),
        (None, 0),
    ],
)
def test_a_message_says_when_it_was_if_it_names_a_zone(stamp: str | None, told_at_ms: int) -> None:
    record = make_record("pyairtable.user.events", OF_EVENT, {**EVENT, "timestamp": stamp})
    assert read_record(record, "").told_at_ms == told_at_ms
