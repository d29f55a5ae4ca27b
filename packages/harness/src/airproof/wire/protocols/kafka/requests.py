"""A request's frame: its header, and what rules may ask about it."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from airproof.wire.protocols.kafka.apis import Api, apis
from airproof.wire.protocols.kafka.contents import request_fields, take_produced
from airproof.wire.protocols.kafka.primitives import FIXED, MalformedMessage, read_varint, sized, take
from airproof.wire.protocols.kafka.replies import Leak
from airproof.wire.protocols.kafka.schema import Message
from airproof.wire.protocols.kafka.topics import TopicNames
from airproof.wire.session import Exchange

HEADER = struct.Struct(">ihhi")
"""Length of what follows it, API key, version, correlation id."""

CORRELATION_AT = 8
LONGEST_REQUEST_BYTES = 100 * 1024 * 1024
"""As in brokers (`socket.request.max.bytes`)."""

HEAD_LIMIT_BYTES = 128 * 1024
"""The acks of a Produce stand before this, after two names of at most 32 KiB."""

STRING, COMPACT_STRING = (sized("string", compact=compact, nullable=True) for compact in (False, True))
TLS_HANDSHAKE = 0x16
SECRET = frozenset({"SaslAuthenticate", "AlterUserScramCredentials", "RenewDelegationToken", "ExpireDelegationToken"})
"""Of these requests nobody gets to see what they contain."""

NO_REPLY = 0
"""The acks of a Produce that nobody answers."""


@dataclass(slots=True, eq=False)
class Asked:
    """What an answer to a request has to know.

    Attributes:
        body: what the request says, without records; None if nobody watched.
    """

    api: Api
    version: int
    correlation: int
    body: Message | None = None


@dataclass(slots=True, eq=False)
class Pending(Asked):
    """A request whose reply is still to come."""

    exchange: Exchange = field(kw_only=True)


class RequestHead(NamedTuple):
    """The beginning of a request.

    Attributes:
        size_bytes: of the frame with its length.
        acks: of a Produce; None for all others.
    """

    size_bytes: int
    api: Api
    version: int
    correlation: int
    acks: int | None


def read_head(data: bytes | bytearray) -> RequestHead | None:
    """The head of the request that begins here; None while more bytes are needed.

    Raises:
        Leak: it is no request, or none that can be followed.
    """
    if len(data) < HEADER.size:
        return None
    length, key, version, correlation = HEADER.unpack_from(data)
    if data[0] == TLS_HANDSHAKE:
        raise Leak("the client speaks TLS: give the wire the broker's certificate and key")
    if not HEADER.size - 4 <= length <= LONGEST_REQUEST_BYTES:
        raise Leak(f"a request of {length} bytes: this is not Kafka's protocol")
    api = apis().get(key)
    if api is None:
        raise Leak(f"API {key} is none that Kafka 4.4.0 offers to clients")
    # A client learns from the reply to ApiVersions what it may ask, so that may be newer than what is known.
    if not api.oldest <= version <= api.newest and api.name != "ApiVersions":
        raise Leak(f"{api.name} {version} is not followed, only {api.oldest} to {api.newest}")
    if api.name != "Produce":
        return RequestHead(length + 4, api, version, correlation, None)
    try:
        acks = _acks(bytes(data[:HEAD_LIMIT_BYTES]), api, version)
    except (struct.error, IndexError, MalformedMessage) as error:
        if len(data) < min(length + 4, HEAD_LIMIT_BYTES):
            return None
        raise Leak(f"a Produce request does not begin as one: {error}") from error
    return RequestHead(length + 4, api, version, correlation, acks)


def _acks(data: bytes, api: Api, version: int) -> int:
    flexible = api.flexible(version)
    _, at = _client_id(data, flexible=flexible)
    _, at = (COMPACT_STRING if flexible else STRING)[0](data, at)
    acks: int = FIXED["int16"][0](data, at)[0]
    return acks


def _client_id(data: bytes, *, flexible: bool) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", data, HEADER.size)
    name, at = take(data, HEADER.size + 2, max(0, size))
    return name.decode(errors="replace"), after_tags(data, at) if flexible else at


def after_tags(data: bytes, at: int) -> int:
    """Where tagged fields that begin here end."""
    count, at = read_varint(data, at)
    for _ in range(count):
        _, at = read_varint(data, at)
        size, at = read_varint(data, at)
        _, at = take(data, at, size)
    return at


def describe(pending: Pending, frame: bytes, names: TopicNames) -> None:
    """Fills in what rules may ask. Of a request that is not as Kafka has it, or not whole, that is its bytes."""
    exchange, api, version = pending.exchange, pending.api, pending.version
    exchange.fields.update(api=api.name, version=version)
    try:
        exchange.fields["client_id"], at = _client_id(frame, flexible=api.flexible(version))
    except (struct.error, IndexError, MalformedMessage):
        return
    with suppress(MalformedMessage):
        pending.body = api.request(version).decode(frame, at)
        exchange.fields.update(request_fields(pending.body, names))
    if pending.body and api.name == "Produce":
        take_produced(pending.body, exchange)
    elif api.name not in SECRET:
        exchange.content = frame[at:]
