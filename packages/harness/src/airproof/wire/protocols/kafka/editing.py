"""Records of a Fetch reply changed, as if the broker's log held others: what a corrupt or lost record looks like."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

from airproof.wire.protocols.kafka.apis import api_named
from airproof.wire.protocols.kafka.compression import CannotUnpack
from airproof.wire.protocols.kafka.contents import CONTENT_LIMIT_BYTES
from airproof.wire.protocols.kafka.primitives import MalformedMessage, write_signed
from airproof.wire.protocols.kafka.records import (
    CODEC_MASK,
    CRC_END,
    HEADER,
    LENGTH_END,
    Batch,
    Record,
    read_batches,
    read_records,
)
from airproof.wire.protocols.kafka.topics import TopicNames

Change = Callable[[str, int, Record], Record | None]
"""Topic, partition and record; the record to have instead, None for none."""

BODY_AT = 8
CASTAGNOLI = 0x82F63B78


def edited(version: int, reply: bytes, change: Change, names: TopicNames) -> bytes | None:
    """The frame with its records changed; None if they cannot be read."""
    api = api_named("Fetch")
    at = BODY_AT + (1 if api.reply_is_tagged(version) else 0)
    try:
        body = api.response(version).decode(reply, at)
        for topic in body["Responses"]:
            name = names.name_of(topic)
            for partition in topic["Partitions"]:
                if partition["Records"]:
                    number = partition["PartitionIndex"]
                    partition["Records"] = _batches(partition["Records"], name, number, change)
    except (CannotUnpack, MalformedMessage):
        return None
    content = reply[4:at] + api.response(version).encode(body)
    return struct.pack(">i", len(content)) + content


def _batches(data: bytes, topic: str, partition: int, change: Change) -> bytes:
    out = bytearray()
    end = 0
    for batch in read_batches(data):
        start, end = end, end + LENGTH_END + batch.header[1]
        out += data[start:end] if batch.control else _batch(batch, topic, partition, change)
    return bytes(out + data[end:])


def _batch(batch: Batch, topic: str, partition: int, change: Change) -> bytes:
    before = list(read_records(batch.unpacked(CONTENT_LIMIT_BYTES), batch.number))
    after = [changed for record in before if (changed := change(topic, partition, record)) is not None]
    records = b"".join(write_record(record) for record in after)
    # What is written anew is not packed again; the length counts what follows it.
    fields = list(batch.header)
    fields[1] = HEADER.size - LENGTH_END + len(records)
    fields[5] &= ~CODEC_MASK
    fields[-1] = len(after)
    content = HEADER.pack(*fields)[CRC_END:] + records
    fields[4] = crc32c(content)
    return HEADER.pack(*fields)[:CRC_END] + content


def write_record(record: Record) -> bytes:
    """Its bytes in a batch."""
    out = bytearray(b"\0")
    write_signed(out, record.timestamp)
    write_signed(out, record.offset)
    _bytes(out, record.key)
    _bytes(out, record.value)
    write_signed(out, len(record.headers))
    for name, content in record.headers:
        _bytes(out, name)
        _bytes(out, content)
    size = bytearray()
    write_signed(size, len(out))
    return bytes(size + out)


def _bytes(out: bytearray, content: bytes | None) -> None:
    write_signed(out, -1 if content is None else len(content))
    out += content or b""


def crc32c(data: bytes) -> int:
    """The checksum of record batches (Castagnoli's); about 10 MB/s, so only what is edited is summed."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (CASTAGNOLI if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)
