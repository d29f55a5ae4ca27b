"""Kafka's primitive types: how each is read from bytes and written to them.

A reader takes the bytes and where to begin, and returns the value and where it ends. Lengths are checked before
anything is allocated, so what a sender claims costs no more than what it sent.

Source: https://kafka.apache.org/protocol#protocol_types
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

Bytes = bytes | memoryview
"""A message's own, or a view of a part of them."""

Reader = Callable[[bytes, int], tuple[Any, int]]
Writer = Callable[[bytearray, Any], None]


class MalformedMessage(ValueError):
    """The bytes are not what the schema says."""


def read_varint(data: Bytes, at: int) -> tuple[int, int]:
    """An unsigned number, seven bits in a byte, the lowest first."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise MalformedMessage("a number has more than ten bytes")


def write_varint(out: bytearray, value: int) -> None:
    """The shortest form."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_signed(data: Bytes, at: int) -> tuple[int, int]:
    """A zigzag number, as in records."""
    value, at = read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """The next `size` bytes."""
    end = end_of(data, at, size)
    return data[at:end], end


def end_of(data: Bytes, at: int, size: int) -> int:
    """Where the next `size` bytes end."""
    end = at + size
    if size < 0 or end > len(data):
        raise MalformedMessage(f"{size} bytes at {at} of {len(data)}")
    return end


def _fixed(layout: str) -> tuple[Reader, Writer]:
    struct = Struct(layout)
    size = struct.size
    unpack, pack = struct.unpack_from, struct.pack

    def read(data: bytes, at: int) -> tuple[Any, int]:
        return unpack(data, at)[0], at + size

    def write(out: bytearray, value: Any) -> None:
        out += pack(value)

    return read, write


def _read_uuid(data: bytes, at: int) -> tuple[bytes, int]:
    return take(data, at, 16)


def _write_bytes(out: bytearray, value: bytes) -> None:
    out += value


FIXED: dict[str, tuple[Reader, Writer]] = {
    "bool": _fixed(">?"),
    "int8": _fixed(">b"),
    "int16": _fixed(">h"),
    "uint16": _fixed(">H"),
    "int32": _fixed(">i"),
    "uint32": _fixed(">I"),
    "int64": _fixed(">q"),
    "float64": _fixed(">d"),
    "uuid": (_read_uuid, _write_bytes),
}
"""By their names in the schemas; a UUID stays sixteen bytes."""

SIZED = ("string", "bytes", "records")
"""Types with a length before them."""


def length_of(kind: str, *, compact: bool) -> tuple[Reader, Writer]:
    """How the length of a sized type or of an array is read and written; -1 is null."""
    if not compact:
        return FIXED["int16" if kind == "string" else "int32"]

    def read(data: bytes, at: int) -> tuple[int, int]:
        length, at = read_varint(data, at)
        return length - 1, at

    def write(out: bytearray, length: int) -> None:
        write_varint(out, length + 1)

    return read, write


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage(str(error)) from error


def sized(kind: str, *, compact: bool, nullable: bool) -> tuple[Reader, Writer]:
    """A string, bytes or records; None is null, where that is allowed.

    Records are a view of the message's bytes: copying them would take longer than all else that is read of it.
    """
    read_length, write_length = length_of(kind, compact=compact)
    text, records = kind == "string", kind == "records"

    def read(data: bytes, at: int) -> tuple[str | Bytes | None, int]:
        length, at = read_length(data, at)
        if length == -1 and nullable:
            return None, at
        if records:
            end = end_of(data, at, length)
            return memoryview(data)[at:end], end
        value, at = take(data, at, length)
        return (_text(value) if text else value), at

    def write(out: bytearray, value: str | Bytes | None) -> None:
        if value is None:
            write_length(out, -1)
            return
        content = value.encode() if isinstance(value, str) else value
        write_length(out, len(content))
        out += content

    return read, write
