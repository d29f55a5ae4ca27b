"""Record batches as a producer writes them, but for the checksum, which wires do not look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from airproof.wire.protocols.kafka.compression import CODECS
from airproof.wire.protocols.kafka.primitives import write_varint
from airproof.wire.protocols.kafka.records import CONTROL, HEADER, LENGTH_END, MAGIC


class Record(NamedTuple):
    """A record; its offset and timestamp (in milliseconds) are counted from its batch's."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


def write_batch(
    *records: Record, codec: str = "none", pack: Callable[[bytes], bytes] = bytes, control: bool = False
) -> bytes:
    packed = pack(b"".join(write_record(record) for record in records))
    attributes = CODECS.index(codec) | (CONTROL if control else 0)
    length, last = HEADER.size - LENGTH_END + len(packed), len(records) - 1
    return HEADER.pack(7, length, 0, MAGIC, 0, attributes, last, 0, 0, -1, -1, -1, len(records)) + packed


def write_record(record: Record) -> bytes:
    out = bytearray(b"\0")
    write_signed(out, record.timestamp)
    write_signed(out, record.offset)
    _write_bytes(out, record.key)
    _write_bytes(out, record.value)
    write_signed(out, len(record.headers))
    for name, content in record.headers:
        _write_bytes(out, name)
        _write_bytes(out, content)
    size = bytearray()
    write_signed(size, len(out))
    return bytes(size + out)


def write_signed(out: bytearray, value: int) -> None:
    """A zigzag number of at most 64 bits."""
    write_varint(out, (value << 1) ^ (value >> 63))


def _write_bytes(out: bytearray, content: bytes | None) -> None:
    write_signed(out, -1 if content is None else len(content))
    out += content or b""
