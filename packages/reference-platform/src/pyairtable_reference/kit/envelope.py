"""Messages: what travels on the bus between services, and how it is written into records.

A message's id is fixed when it is first written and never changes on a resend, so that receivers can recognise it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID, uuid5

from pydantic import TypeAdapter, ValidationError

DEAD_LETTERS = "pyairtable.dlq.events"
REPLIES = "pyairtable.sagas.replies"


def commands_topic(service: str) -> str:
    """Where a service takes its commands from."""
    return f"pyairtable.{service}.commands"


def events_topic(aggregate_type: str) -> str:
    """Where the events of one kind of aggregate go."""
    return f"pyairtable.{aggregate_type}.events"


class Unprocessable(Exception):
    """A message that no repetition makes processable: it belongs into the dead letters. The text is the cause."""


class Kind(StrEnum):
    """What a message is."""

    EVENT = "event"
    COMMAND = "command"
    REPLY = "reply"


class Action(StrEnum):
    """What a command asks of a step."""

    EXECUTE = "execute"
    COMPENSATE = "compensate"


class Outcome(StrEnum):
    """What a participant answers."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready for the outbox: addressed, with the headers and the value its record will carry.

    Attributes:
        kind: a `Kind`, or what another version calls it.
    """

    id: UUID
    kind: str
    topic: str
    key: str
    type: str
    tenant_id: str
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def correlation_id(self) -> str:
        """Which conversation it belongs to; empty where what was stored does not say."""
        stored: Any = self.headers
        said = stored.get("correlation-id") if isinstance(stored, dict) else None
        return said if isinstance(said, str) else ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came from the bus, not yet understood."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def header(self, name: str) -> str:
        """A header's text; empty if it is missing or not text."""
        for known, value in self.headers:
            if known == name and value is not None:
                return value.decode("utf-8", "replace")
        return ""


class _Body:
    """What events, commands and replies have in common: how they are read from a record and written as one."""

    __slots__ = ()

    @classmethod
    def of(cls, record: Record) -> Self:
        """The body of a record.

        Raises:
            Unprocessable: it is not one, or its headers speak of another message or tenant.
        """
        try:
            body: Self = _ADAPTERS[cls].validate_json(record.value or b"")
        except ValidationError as wrong:
            fields = {".".join(map(str, error["loc"])) or error["type"] for error in wrong.errors()}
            raise Unprocessable(f"not a valid {cls.__name__.lower()}: {', '.join(sorted(fields))}") from None
        if body.identity() != (record.header("message-id"), record.header("tenant-id")):
            raise Unprocessable("headers and body disagree about the message or its tenant")
        return body

    def payload_json(self) -> dict[str, Any]:
        """The body as JSON values."""
        value: dict[str, Any] = _ADAPTERS[type(self)].dump_python(self, mode="json")
        return value

    def identity(self) -> tuple[str, str]:
        """Message id and tenant, as the headers have them."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Where an event comes from: the conversation it belongs to, the message that caused it, the service."""

    correlation_id: str
    causation_id: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Body):
    """Something that happened to an aggregate; `version` is its place in the aggregate's stream, from 1."""

    event_id: UUID
    event_type: str
    aggregate_id: str
    aggregate_type: str
    version: int
    timestamp: datetime
    tenant_id: str
    payload: dict[str, Any]
    metadata: Metadata

    def identity(self) -> tuple[str, str]:
        return str(self.event_id), self.tenant_id

    def message(self) -> Message:
        """The event, addressed to everybody who follows its kind of aggregate."""
        return Message(
            id=self.event_id,
            kind=Kind.EVENT,
            topic=events_topic(self.aggregate_type),
            key=self.aggregate_id,
            type=self.event_type,
            tenant_id=self.tenant_id,
            headers=_headers(self, Kind.EVENT, self.event_type, self.metadata),
            payload=self.payload_json(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(_Body):
    """A saga's request to a participant: execute a step or compensate it."""

    message_id: UUID
    saga_id: UUID
    saga_type: str
    step: str
    action: Action
    tenant_id: str
    correlation_id: str
    timestamp: datetime
    payload: dict[str, Any]

    def identity(self) -> tuple[str, str]:
        return str(self.message_id), self.tenant_id

    @property
    def type(self) -> str:
        """What the command asks for: `<step>.<action>`."""
        return f"{self.step}.{self.action}"

    def message(self, service: str, source: str) -> Message:
        """The command, addressed to the service that takes part."""
        metadata = Metadata(correlation_id=self.correlation_id, causation_id=str(self.saga_id), source=source)
        return Message(
            id=self.message_id,
            kind=Kind.COMMAND,
            topic=commands_topic(service),
            key=str(self.saga_id),
            type=self.type,
            tenant_id=self.tenant_id,
            headers=_headers(self, Kind.COMMAND, self.type, metadata) | {"saga-id": str(self.saga_id)},
            payload=self.payload_json(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(_Body):
    """A participant's answer to a command."""

    message_id: UUID
    in_reply_to: UUID
    saga_id: UUID
    step: str
    action: Action
    outcome: Outcome
    reason: str | None
    result: dict[str, Any]
    tenant_id: str
    correlation_id: str

    def identity(self) -> tuple[str, str]:
        return str(self.message_id), self.tenant_id

    def message(self, source: str) -> Message:
        """The reply, addressed to the orchestrator."""
        metadata = Metadata(correlation_id=self.correlation_id, causation_id=str(self.in_reply_to), source=source)
        kind = f"{self.step}.{self.action}"
        return Message(
            id=self.message_id,
            kind=Kind.REPLY,
            topic=REPLIES,
            key=str(self.saga_id),
            type=kind,
            tenant_id=self.tenant_id,
            headers=_headers(self, Kind.REPLY, kind, metadata) | {"saga-id": str(self.saga_id)},
            payload=self.payload_json(),
        )


def command_id(saga_id: UUID, step: str, action: Action) -> UUID:
    """The id of the one command that asks a saga's step for an action, however often it is sent."""
    return uuid5(saga_id, f"{step}.{action}")


def _headers(body: _Body, kind: Kind, type_: str, metadata: Metadata) -> dict[str, str]:
    message_id, tenant_id = body.identity()
    return {
        "message-id": message_id,
        "kind": kind.value,
        "type": type_,
        "tenant-id": tenant_id,
        "correlation-id": metadata.correlation_id,
        "causation-id": metadata.causation_id,
        "source": metadata.source,
    }


_ADAPTERS: dict[type[_Body], TypeAdapter[Any]] = {body: TypeAdapter(body) for body in (Event, Command, Reply)}
