"""Messages that a service can do nothing with, however often it tries."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airproof.platform.observation import BusMessage, MessageKind
from airproof_pyairtable.manifest import MANIFEST, ORCHESTRATOR, REGISTRATION
from airproof_pyairtable.places import CONSUMPTION, EVENT_TOPICS, commands_topic

SOURCE = "airproof"
LARGE_FOR = "user-service"
"""Who gets a record as large as can be."""
LARGEST_RECORD_BYTES, HEADER_BYTES, ROUND_IT_BYTES = 1_048_576, 4, 120
"""What a topic takes unless told otherwise, and what of it a header and a batch of one record need for themselves."""
UNKNOWN = "of_another_version_新"
"""Ends the name of what this version does not know."""
NEED_AN_ADDRESS = ("create_credentials", "create_profile", "send_welcome_mail")
"""Steps that can store nothing of somebody without one."""
ADDRESS, TOLD = ("email", "recipient"), ("password_hash", "first_name", "last_name")
"""What steps are told of somebody."""


def poisons(service: str, tenant_id: str) -> Iterator[BusMessage]:
    """Messages that are none, and of each kind that the service takes some that are well formed and lead nowhere."""
    yield from _damaged(CONSUMPTION[service][0], tenant_id)
    for step in (step for step in REGISTRATION.steps if step.participant == service):
        yield _command(service, step.name, "execute", tenant_id)
        if step.name in NEED_AN_ADDRESS:
            whole = {**dict.fromkeys(TOLD, address(tenant_id)), "user_id": str(uuid.uuid4())}
            yield _command(service, step.name, "execute", tenant_id, payload=whole | dict.fromkeys(ADDRESS))
        undo = _command(service, step.name, "compensate", tenant_id)
        # Without a compensation it is no command; with one, a character that no text of PostgreSQL has spoils it.
        yield replace(undo, body={**undo.body, "correlation_id": "\x00"}) if step.compensation else undo
        yield _command(service, f"{step.name}_{UNKNOWN}", "execute", tenant_id)
        yield _command(service, step.name, UNKNOWN, tenant_id)
    if service == ORCHESTRATOR:
        first = REGISTRATION.steps[0].name
        reply: dict[str, Any] = {"step": first, "action": "execute", "outcome": "done", "reason": None, "result": {}}
        kind, in_reply_to = MessageKind.REPLY, str(uuid.uuid4())
        reply_to_nobody = {**reply, "in_reply_to": in_reply_to}
        yield _message(kind, CONSUMPTION[service][0], f"{first}.execute", tenant_id, reply_to_nobody)
    for event_type in dict.fromkeys(one.event for one in MANIFEST.subscriptions if one.service == service):
        yield new_event(event_type, EVENT_TOPICS[event_type], tenant_id, {})
    for topic in sorted({EVENT_TOPICS[one.event] for one in MANIFEST.subscriptions if one.service == service}):
        yield new_event(f"{topic.split('.')[1]}.{UNKNOWN}", topic, tenant_id, {})


def _damaged(topic: str, tenant_id: str) -> Iterator[BusMessage]:
    """Not what it says, with a header twice, with one that is no text, with no key, with a key so, with nothing in it.

    One is large. Two have no id. In some is an address.
    """
    kind = MessageKind.EVENT if topic in EVENT_TOPICS.values() else MessageKind.COMMAND
    kind = MessageKind.REPLY if topic == CONSUMPTION[ORCHESTRATOR][0] else kind
    nonsense = {"nonsense": True, "saga_id": address(tenant_id)}
    twice = _message(kind, topic, "nonsense.execute", tenant_id, nonsense)
    yield replace(twice, headers={**twice.headers, "baggage": "one\nanother"})
    no_text = _message(kind, topic, "nonsense.execute", tenant_id, nonsense)
    yield replace(no_text, headers={**no_text.headers, "correlation-id": "\udcff\udcfe"})
    for key in ("", "ÿþ"):
        yield replace(_message(kind, topic, "nonsense.execute", tenant_id, nonsense), key=key)
    yield replace(_message(kind, topic, "nonsense.execute", tenant_id, nonsense), body={})
    if topic == commands_topic(LARGE_FOR):
        yield _as_large_as_can_be(_message(kind, topic, "nonsense.execute", tenant_id, nonsense))
    for _ in range(2):
        nameless = _message(kind, topic, "nonsense.execute", tenant_id, nonsense)
        headers = {name: value for name, value in nameless.headers.items() if name != "message-id"}
        yield replace(nameless, message_id="", headers=headers)


def _as_large_as_can_be(message: BusMessage) -> BusMessage:
    """Padded, so that nothing more could be told of it in one record."""
    key, value, headers = encoded(message)
    taken = len(key or b"") + len(value or b"") + sum(len(name) + len(told) + HEADER_BYTES for name, told in headers)
    return replace(message, body={**message.body, "padding": "x" * (LARGEST_RECORD_BYTES - taken - ROUND_IT_BYTES)})


def _command(service: str, step: str, action: str, tenant_id: str, **told: Any) -> BusMessage:
    command = {"saga_type": REGISTRATION.name, "step": step, "action": action, "payload": {}, **told}
    return _message(MessageKind.COMMAND, commands_topic(service), f"{step}.{action}", tenant_id, command)


def address(tenant_id: str) -> str:
    """Of somebody, in a message that nobody understands. Who says what is wrong with it does not repeat that."""
    return f"x@{tenant_id}.example"


def new_event(event_type: str, topic: str, tenant_id: str, payload: dict[str, Any]) -> BusMessage:
    """The first event of a new aggregate."""
    event = {"event_type": event_type, "aggregate_type": topic.split(".")[1], "version": 1, "payload": payload}
    return _message(MessageKind.EVENT, topic, event_type, tenant_id, event)


def forged_replies(saga_id: str, step: str, of: str, other: str) -> Iterator[BusMessage]:
    """Refusals of a step of the tenant's saga that speak of the other tenant in their head, in their body, in both.

    And one of the right tenant, of a step of another version.
    """
    refusal = {"step": step, "action": "execute", "outcome": "refused", "reason": "forged", "result": {}}
    unknown = f"{step}_{UNKNOWN}"
    for head, body, name in (*((head, body, step) for head, body in _names(of, other)), (of, of, unknown)):
        told = {**refusal, "step": name, "saga_id": saga_id, "in_reply_to": str(uuid.uuid4())}
        message = _message(MessageKind.REPLY, CONSUMPTION[ORCHESTRATOR][0], f"{name}.execute", body, told)
        yield _of_tenant(head, replace(message, key=saga_id))


def forged_commands(saga_id: str, step: str, of: str, other: str) -> Iterator[BusMessage]:
    """Commands to do and to undo a step of the tenant's saga that speak of the other tenant in the same ways."""
    for action in ("execute", "compensate"):
        for head, body in _names(of, other):
            command = _command(REGISTRATION.step(step).participant, step, action, body, saga_id=saga_id)
            yield _of_tenant(head, replace(command, key=saga_id))


def _names(of: str, other: str) -> tuple[tuple[str, str], ...]:
    return (other, other), (other, of), (of, other)


def _of_tenant(tenant_id: str, message: BusMessage) -> BusMessage:
    """The message, whose head says that it is of the tenant."""
    return replace(message, tenant_id=tenant_id, headers={**message.headers, "tenant-id": tenant_id})


def encoded(message: BusMessage) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of its record; no key and no value where they are empty.

    Each line of a header is one of that name. Escaped bytes are no text, nor is a key in Latin-1 that is not ASCII.
    """
    lines = ((name, line) for name, value in message.headers.items() for line in value.split("\n"))
    headers = [(name, line.encode(errors="surrogateescape")) for name, line in lines]
    return message.key.encode("latin-1") or None, json.dumps(message.body).encode() if message.body else None, headers


def _message(kind: MessageKind, topic: str, type_: str, tenant_id: str, body: dict[str, Any]) -> BusMessage:
    id_, about, talk = (str(uuid.uuid4()) for _ in range(3))
    metadata = {"correlation_id": talk, "causation_id": id_, "source": SOURCE}
    named = {"event_id": id_, "aggregate_id": about, "metadata": metadata} if kind is MessageKind.EVENT else {}
    named = named or {"message_id": id_, "saga_id": about, "correlation_id": talk}
    whole = {**named, "tenant_id": tenant_id, "timestamp": datetime.now(UTC).isoformat()}
    headers = {
        "message-id": id_,
        "kind": kind.value,
        "type": type_,
        "tenant-id": tenant_id,
        "correlation-id": talk,
        "causation-id": id_,
        "source": SOURCE,
    }
    text = body if "nonsense" in body else {**whole, **body}
    return BusMessage(kind, topic, 0, -1, about, id_, type_, tenant_id, talk, headers=headers, body=text, injected=True)
