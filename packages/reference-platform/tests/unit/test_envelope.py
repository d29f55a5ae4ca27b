"""Messages: written into records and read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from pyairtable_reference.kit.envelope import (
    Action,
    Command,
    Event,
    Message,
    Metadata,
    Outcome,
    Record,
    Reply,
    Unprocessable,
    command_id,
)

SAGA = UUID("00000000-0000-0000-0000-000000000001")


def make_command(**changes: object) -> Command:
    fields = {
        "message_id": command_id(SAGA, "create_profile", Action.EXECUTE),
        "saga_id": SAGA,
        "saga_type": "user_registration",
        "step": "create_profile",
        "action": Action.EXECUTE,
        "tenant_id": "acme",
        "correlation_id": "key-1",
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "payload": {"big": 2**60, "text": "Ünï"},
    }
    return Command(**{**fields, **changes})  # type: ignore[arg-type]


def as_record(message: Message) -> Record:
    headers = tuple((name, value.encode()) for name, value in message.headers.items())
    return Record(message.topic, message.key.encode(), json.dumps(message.payload).encode(), headers)


def test_a_command_survives_the_bus() -> None:
    message = make_command().message("user-service", "saga-orchestrator")
    assert Command.of(as_record(message)) == make_command()
    assert (message.topic, message.key, message.type) == (
        "pyairtable.user-service.commands",
        str(SAGA),
        "create_profile.execute",
    )
    assert message.headers["saga-id"] == str(SAGA)


def test_an_event_survives_the_bus() -> None:
    metadata = Metadata(correlation_id="c", causation_id="x", source="user-service")
    event = Event(
        event_id=uuid4(),
        event_type="user.created",
        aggregate_id="u1",
        aggregate_type="user",
        version=1,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        tenant_id="acme",
        payload={},
        metadata=metadata,
    )
    message = event.message()
    assert Event.of(as_record(message)) == event
    assert (message.topic, message.key) == ("pyairtable.user.events", "u1")
    assert message.headers | {"message-id": ""} == {
        "message-id": "",
        "kind": "event",
        "type": "user.created",
        "tenant-id": "acme",
        "correlation-id": "c",
        "causation-id": "x",
        "source": "user-service",
    }


def test_a_reply_survives_the_bus() -> None:
    reply = Reply(
        message_id=uuid4(),
        in_reply_to=uuid4(),
        saga_id=SAGA,
        step="create_profile",
        action=Action.COMPENSATE,
        outcome=Outcome.REFUSED,
        reason="legal-hold",
        result={},
        tenant_id="acme",
        correlation_id="c",
    )
    assert Reply.of(as_record(reply.message("user-service"))) == reply


def test_the_same_step_and_action_is_always_the_same_command() -> None:
    assert command_id(SAGA, "a", Action.EXECUTE) == command_id(SAGA, "a", Action.EXECUTE)
    assert command_id(SAGA, "a", Action.EXECUTE) != command_id(SAGA, "a", Action.COMPENSATE)


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"[]", b"{}", b'{"message_id": 1}'])
def test_what_is_no_message_is_unprocessable(value: bytes | None) -> None:
    with pytest.raises(Unprocessable):
        Command.of(Record("t", None, value, (("message-id", None),)))


def test_headers_that_speak_of_another_tenant_are_unprocessable() -> None:
    message = make_command().message("user-service", "x")
    record = as_record(message)
    forged = tuple((name, b"other" if name == "tenant-id" else value) for name, value in record.headers)
    with pytest.raises(Unprocessable, match="disagree"):
        Command.of(Record(record.topic, record.key, record.value, forged))


def test_the_cause_names_fields_but_no_values() -> None:
    value = json.dumps({"payload": {"password_hash": "topsecret"}, "step": 5}).encode()
    with pytest.raises(Unprocessable) as caught:
        Command.of(Record("t", None, value, ()))
    assert "saga_id" in str(caught.value)
    assert "topsecret" not in str(caught.value)
