"""What rules may ask about Kafka's requests and replies: fields by name, and the content to search in.

A body is a dict as `schema` reads it. Topics that a message names by their ids are given by the names that Metadata
told for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airproof.wire.protocols.kafka.compression import CannotUnpack
from airproof.wire.protocols.kafka.errors import error_name
from airproof.wire.protocols.kafka.primitives import Bytes, MalformedMessage
from airproof.wire.protocols.kafka.records import read_batches, read_keys
from airproof.wire.protocols.kafka.schema import UNKNOWN_TAGS, Message
from airproof.wire.protocols.kafka.topics import TopicNames
from airproof.wire.session import Exchange

TOPICS = ("TopicData", "Topics", "TopicPartitions", "V3AndBelowTopics", "Responses")
PARTITIONS = ("PartitionData", "PartitionIndexes", "Partitions", "PartitionResponses")
INDEX = ("Index", "Partition", "PartitionIndex")
NAMED = ("TopicNames", "SubscribedTopicNames")
WITHIN = ("Groups", "Transactions")
"""Where newer versions keep what older ones have at the top."""

KEYS_LIMIT = 100
"""Of so many records of a request or reply the keys are given."""


CONTENT_LIMIT_BYTES = 16 * 1024 * 1024
"""So much of the records of a request or reply is unpacked; what is longer than that is searched as it was sent."""


@dataclass(slots=True)
class Records:
    """What a request or reply carries in record batches.

    Attributes:
        parts: the unpacked batches: keys, values and headers of their records with a few bytes between them.
        count: of records.
        codecs: how batches were packed.
        keys: the first `KEYS_LIMIT` of those that have one.
    """

    parts: list[Bytes] = field(default_factory=list)
    count: int = 0
    codecs: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    budget: int = CONTENT_LIMIT_BYTES

    @property
    def content(self) -> bytes:
        """All parts."""
        return b"".join(self.parts)

    def add(self, data: Bytes | None) -> None:
        """Adds those of a partition; the broker's own marks do not count."""
        for batch in read_batches(data or b""):
            if batch.control:
                continue
            self.count += batch.number
            if batch.codec not in self.codecs:
                self.codecs.append(batch.codec)
            try:
                records = batch.unpacked(self.budget)
            except CannotUnpack:
                # Nothing more is tried: a thousand batches that claim to be long must not cost a thousand times.
                self.budget = 0
                self.parts.append(batch.packed)
                continue
            self.budget -= len(records)
            self.parts.append(records)
            self._add_keys(records, batch.number)

    def _add_keys(self, records: Bytes, count: int) -> None:
        found = islice(read_keys(records, count), KEYS_LIMIT - len(self.keys))
        with suppress(MalformedMessage):
            self.keys += [key.decode(errors="replace") for key in found if key is not None]

    def fields(self) -> dict[str, str | int]:
        """The fields `records`, `key` (the first), `keys` and `compression`."""
        first = {"key": self.keys[0]} if self.keys else {}
        return {"records": self.count, **first, "keys": ",".join(self.keys), "compression": ",".join(self.codecs)}


def request_fields(body: Message, names: TopicNames) -> dict[str, str | int]:
    """The fields of any request, as far as it has them."""
    fields = topic_fields(body, names)
    found = (
        ("group", _group(body)),
        ("member", body.get("MemberId")),
        ("instance", body.get("GroupInstanceId", body.get("InstanceId"))),
        ("generation", body.get("GenerationId", body.get("GenerationIdOrMemberEpoch", body.get("MemberEpoch")))),
        ("transactional_id", _transactional_id(body)),
        ("acks", body.get("Acks")),
    )
    fields |= {name: value for name, value in found if value is not None}
    if "Committed" in body:
        fields["committed"] = "commit" if body["Committed"] else "abort"
    return fields


def topic_fields(body: Message, names: TopicNames) -> dict[str, str | int]:
    """`topics` and the first `topic`; `partitions` as `topic-number` and the first `partition`."""
    topics: list[str] = []
    partitions: list[str] = []
    first: int | None = None
    for topic in _topics(body):
        name = topic if isinstance(topic, str) else names.name_of(topic)
        topics.append(name)
        for number in _partitions(topic):
            first = number if first is None else first
            partitions.append(f"{name}-{number}")
    fields: dict[str, str | int] = {}
    if topics:
        fields.update(topic=topics[0], topics=",".join(topics))
    if first is not None:
        fields.update(partition=first, partitions=",".join(partitions))
    return fields


def take_produced(request: Message, exchange: Exchange) -> None:
    """Takes the records out of a Produce request and fills in what they say."""
    records = Records()
    for topic in request["TopicData"]:
        for partition in topic["PartitionData"]:
            records.add(partition.pop("Records"))
    exchange.fields |= records.fields()
    exchange.content = records.content


def take_fetched(reply: Message, exchange: Exchange, names: TopicNames) -> None:
    """Takes the records out of a reply to Fetch; topics and partitions become those that have some."""
    records = Records()
    topics = []
    for topic in reply["Responses"]:
        filled = [partition for partition in topic["Partitions"] if partition["Records"]]
        topics += [{**topic, "Partitions": filled}] if filled else []
        for partition in filled:
            records.add(partition.pop("Records"))
    exchange.fields |= topic_fields({"Responses": topics}, names) | records.fields()
    exchange.content = records.content


def first_error(body: Any) -> str:
    """The name of the first error code that is not NONE, in the order of the reply; NONE if all went well."""
    return error_name(next(_codes(body), 0))


def _codes(body: Any) -> Iterator[int]:
    for name, value in body.items():
        if name.endswith("ErrorCode"):
            if value:
                yield value
        elif isinstance(value, dict) and name != UNKNOWN_TAGS:
            yield from _codes(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from _codes(item)


def _topics(body: Message) -> Iterator[Message | str]:
    yield from _first(body, TOPICS)
    for name in NAMED:
        yield from body.get(name) or ()
    for name in WITHIN:
        for part in body.get(name) or ():
            if isinstance(part, dict):
                yield from _topics(part)


def _partitions(topic: Message | str) -> Iterator[int]:
    for partition in () if isinstance(topic, str) else _first(topic, PARTITIONS):
        if isinstance(partition, int):
            yield partition
        else:
            yield next((partition[name] for name in INDEX if name in partition), -1)


def _first(body: Mapping[str, Any], names: tuple[str, ...]) -> list[Any]:
    return next((body[name] for name in names if isinstance(body.get(name), list)), [])


def _group(body: Message) -> str | None:
    if "GroupId" in body:
        group: str | None = body["GroupId"]
        return group
    if body.get("KeyType") == 0 or ("Key" in body and "KeyType" not in body):
        return _joined([body["Key"]] if "Key" in body else body.get("CoordinatorKeys", ()))
    groups = body.get("Groups") or body.get("GroupsNames") or ()
    return _joined([group["GroupId"] if isinstance(group, dict) else group for group in groups])


def _transactional_id(body: Message) -> str | None:
    for name in ("TransactionalId", "V3AndBelowTransactionalId"):
        if body.get(name):
            identifier: str = body[name]
            return identifier
    if body.get("KeyType") == 1:
        return _joined([body["Key"]] if "Key" in body else body.get("CoordinatorKeys", ()))
    return _joined([part["TransactionalId"] for part in body.get("Transactions") or () if isinstance(part, dict)])


def _joined(values: Any) -> str | None:
    return ",".join(values) or None
