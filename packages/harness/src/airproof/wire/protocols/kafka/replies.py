"""Replies that must not pass as they are: addresses of brokers, and which versions a broker offers.

A reply that cannot be read, or that names a broker the wire has no address for, is a `Leak`: passing it on would let
the client go past the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airproof.wire.protocols.kafka.apis import ADDRESSED, OLDEST_FOLLOWED, Api, apis
from airproof.wire.protocols.kafka.errors import UNSUPPORTED_VERSION
from airproof.wire.protocols.kafka.primitives import MalformedMessage
from airproof.wire.protocols.kafka.schema import Message

Route = Callable[[str, int], tuple[str, int] | None]
"""The wire's address for a broker's; None where it has none."""


class Leak(Exception):
    """What would lead a client past the wire, or what cannot be followed so that it might."""


def rewritten(api: Api, version: int, body: bytes, route: Route) -> tuple[bytes, Message]:
    """The body to pass on instead, and what it says.

    Raises:
        Leak: it cannot be read, or names a broker without an address here.
    """
    try:
        message, version = _decoded(api, version, body)
    except MalformedMessage as error:
        raise Leak(f"a reply to {api.name} {version} is not as Kafka 4.4.0 has it: {error}") from error
    if api.name == "ApiVersions":
        message["ApiKeys"] = [followed for offered in message["ApiKeys"] if (followed := _followed(offered))]
    else:
        brokers = _brokers(api, message)
        if not brokers:
            return body, message
        for broker in brokers:
            _readdress(broker, route, api)
    return api.response(version).encode(message), message


def _decoded(api: Api, version: int, body: bytes) -> tuple[Message, int]:
    # A broker that is older than the request answers in the oldest version, so that the client can ask again.
    if api.name == "ApiVersions" and int.from_bytes(body[:2], "big") == UNSUPPORTED_VERSION:
        version = 0
    if version > api.newest:
        raise MalformedMessage(f"version {api.newest} is the newest that is followed")
    return api.response(version).decode(body), version


def _followed(offered: Message) -> Message | None:
    api = apis().get(offered["ApiKey"])
    if api is None:
        return None
    # Brokers offer more old versions than they take, for clients that judge a broker by them; those stay.
    oldest = max(offered["MinVersion"], OLDEST_FOLLOWED.get(api.name, 0))
    newest = min(offered["MaxVersion"], api.newest)
    return {**offered, "MinVersion": oldest, "MaxVersion": newest} if oldest <= newest else None


def _brokers(api: Api, message: Message) -> list[Message]:
    if api.name == "FindCoordinator" and "Host" in message:
        return [message]
    brokers: list[Any] = message.get(ADDRESSED[api.name]) or []
    return brokers


def _readdress(broker: Message, route: Route, api: Api) -> None:
    host, port = broker["Host"], broker["Port"]
    if not host:
        return
    address = route(host, port)
    if address is None:
        raise Leak(f"a reply to {api.name} names {host}:{port}, to which no wire leads")
    broker["Host"], broker["Port"] = address
