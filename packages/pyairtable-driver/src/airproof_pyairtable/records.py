"""Kafka records of PyAirtable as messages, with every contradiction between key, headers and body named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from kafka.partitioner.default import murmur2

from airproof.platform.observation import BusMessage, MessageKind
from airproof_pyairtable.manifest import DEAD_LETTERS

_PARTS = ("payload", "result")
_TALK = ("message_id", "saga_id", "step", "action", "tenant_id", "correlation_id")
_EVENT = ("event_id", "event_type", "aggregate_id", "aggregate_type", "timestamp", "tenant_id")
KINDS: dict[MessageKind, dict[str, tuple[type, ...]]] = {
    MessageKind.EVENT: {**dict.fromkeys(_EVENT, (str,)), "version": (int,), "payload": (dict,), "metadata": (dict,)},
    MessageKind.COMMAND: {**dict.fromkeys((*_TALK, "saga_type", "timestamp"), (str,)), "payload": (dict,)},
    MessageKind.REPLY: {
        **dict.fromkeys((*_TALK, "in_reply_to", "outcome"), (str,)),
        "reason": (str, type(None)),
        "result": (dict,),
    },
}
_TOLD: dict[str, tuple[type, ...]] = {"permissions": (list,), "reason": (str, type(None))}
"""What the objects in a body tell is text, but for these."""
ASKED = {
    "create_credentials": ("email", "password_hash"),
    "create_profile": ("user_id", "email", "first_name", "last_name"),
    "create_workspace": ("owner_id", "name"),
    "assign_permissions": ("user_id", "workspace_id"),
    "send_welcome_mail": ("user_id", "recipient", "first_name"),
}
ANSWERED: dict[str, tuple[str, ...]] = {"create_credentials": ("user_id",), "create_workspace": ("workspace_id",)}
_NEEDED = {MessageKind.COMMAND: ("payload", ASKED), MessageKind.REPLY: ("result", ANSWERED)}
"""What steps are told, and tell those that follow: whoever is of another version reckons with it, too."""


def read_record(record: ConsumerRecord, prefix: str, partitions: int = 1) -> BusMessage:
    """The record of a topic with so many partitions as a message; what cannot be read becomes a contradiction."""
    headers = _headers(record.headers)
    topic = str(record.topic).removeprefix(prefix)
    body, unreadable = _body(record.value)
    kind = MessageKind.DEAD_LETTER if topic == DEAD_LETTERS else _kind(headers.get("kind", ""))
    return BusMessage(
        kind=kind,
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        key=_text(record.key),
        message_id=headers.get("message-id", ""),
        type=headers.get("type", ""),
        tenant_id=headers.get("tenant-id", ""),
        correlation_id=headers.get("correlation-id", ""),
        saga_id=headers.get("saga-id", ""),
        aggregate_id=str(body.get("aggregate_id", "")),
        version=version if type(version := body.get("version")) is int else 0,
        outcome=str(body.get("outcome", "")),
        causation_id=headers.get("causation-id", ""),
        in_reply_to=str(body.get("in_reply_to", "")),
        timestamp_ms=record.timestamp,
        told_at_ms=_milliseconds(body.get("timestamp")),
        payload=_payload(body) if kind is MessageKind.EVENT else {},
        headers=headers,
        body=body,
        contradictions=()
        if kind is MessageKind.DEAD_LETTER
        else (*unreadable, *_contradictions(kind, topic, headers, body), *_misplaced(record, partitions)),
        malformed=tuple(_malformed(kind, body)),
    )


def _contradictions(
    kind: MessageKind, topic: str, headers: Mapping[str, str], body: Mapping[str, Any]
) -> Iterable[str]:
    for name, value in _as_told_by_the_body(kind, body).items():
        told = topic if name == "topic" else headers.get(name)
        if told != value:
            yield f"{name} is {told!r}, the body says {value!r}"


def _misplaced(record: ConsumerRecord, partitions: int) -> Iterable[str]:
    """Whoever sends a record with that key has to come to the same place, as all clients of Kafka do by themselves."""
    if record.key is not None and record.partition != (home := (murmur2(record.key) & 0x7FFFFFFF) % partitions):
        yield f"partition is {record.partition}, the key belongs in {home}"


def _malformed(kind: MessageKind, body: Mapping[str, Any]) -> Iterable[str]:
    for name, kinds in KINDS.get(kind, {}).items():
        if type(body.get(name)) not in kinds:
            yield f"{name} is a {type(body.get(name)).__name__}, not a {kinds[0].__name__}"
    parts = [body[name] for name in _PARTS if kind in KINDS and isinstance(body.get(name), dict)]
    for name, value in chain.from_iterable(part.items() for part in parts):
        if type(value) not in (kinds := _TOLD.get(name, (str,))):
            yield f"{name} is told as a {type(value).__name__}, not as a {kinds[0].__name__}"
    if kind in _NEEDED and body.get("action") == "execute" and body.get("outcome") != "refused":
        part, needed = _NEEDED[kind]
        told = body.get(part) or {}
        yield from (f"{part}.{name} is missing" for name in needed.get(str(body.get("step")), ()) if name not in told)


def older(body: dict[str, Any], days: float) -> dict[str, Any]:
    """The body with the time that it tells, if it does, so many days before."""
    told = body.get("timestamp")
    return {**body, "timestamp": (datetime.fromisoformat(told) - timedelta(days=days)).isoformat()} if told else body


def _as_told_by_the_body(kind: MessageKind, body: Mapping[str, Any]) -> dict[str, Any]:
    """What topic and headers must be, if the body is right."""
    if kind is MessageKind.EVENT:
        metadata = told if isinstance(told := body.get("metadata"), dict) else {}
        return {
            "topic": f"pyairtable.{body.get('aggregate_type')}.events",
            "kind": "event",
            "message-id": body.get("event_id"),
            "type": body.get("event_type"),
            "tenant-id": body.get("tenant_id"),
            "correlation-id": metadata.get("correlation_id"),
            "causation-id": metadata.get("causation_id"),
            "source": metadata.get("source"),
        }
    common = {
        "kind": kind.value,
        "message-id": body.get("message_id"),
        "type": f"{body.get('step')}.{body.get('action')}",
        "tenant-id": body.get("tenant_id"),
        "correlation-id": body.get("correlation_id"),
        "saga-id": body.get("saga_id"),
    }
    return common | ({"causation-id": body.get("in_reply_to")} if kind is MessageKind.REPLY else {})


def _milliseconds(stamp: object) -> float:
    """Since the epoch; 0 for what is no time, or of no zone."""
    try:
        moment = datetime.fromisoformat(str(stamp))
        return (moment - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1)
    except (TypeError, ValueError):
        return 0


def _kind(text: str) -> MessageKind:
    known = {kind.value: kind for kind in MessageKind}
    return known.get(text, MessageKind.EVENT)


def _headers(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """By name; one that stands more than once has a line for each time."""
    lines: dict[str, list[str]] = {}
    for name, value in pairs:
        lines.setdefault(name, []).append(_text(value))
    return {name: "\n".join(told) for name, told in lines.items()}


def _body(value: bytes | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        body = json.loads(value or b"")
    except ValueError:
        return {}, ("the body is not JSON",)
    return (body, ()) if isinstance(body, dict) else ({}, ("the body is not an object",))


def _payload(body: Mapping[str, Any]) -> dict[str, Any]:
    told = body.get("payload")
    return told if isinstance(told, dict) else {}


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
