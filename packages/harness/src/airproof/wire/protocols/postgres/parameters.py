"""Parameters of a Bind message as bytes in which a test finds its identifiers, sent as text or binary."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final
from uuid import UUID

_SHORT: Final = struct.Struct("!h").unpack_from
_LONG: Final = struct.Struct("!i").unpack_from
_ARRAY: Final = struct.Struct("!iiI").unpack_from

_UUID: Final = 2950
_INTEGERS: Final = {20: 8, 21: 2, 23: 4, 26: 4}
_ELEMENTS: Final = {2951: _UUID, 1016: 20, 1005: 21, 1007: 23}
_UNKNOWN: Final = 0
_WITH_UUIDS: Final = frozenset((_UNKNOWN, _UUID, 2951))
_BARE_UUID: Final = re.compile(rb"\b[0-9a-f]{32}\b")
_LARGEST_ARRAY: Final = 1000


def bound_values(message: bytes, at: int, types: bytes) -> Iterator[bytes]:
    """Each parameter as it was sent and, where that can be read, in its usual text form too.

    What is read: binary uuid, int2, int4, int8, oid, and arrays of them; uuids sent as text without hyphens. A
    parameter whose type Parse did not say is read as what its length allows: 16 bytes are a uuid, 2, 4 or 8 an integer.

    Args:
        message: whole or its beginning; where it breaks off, so do the values.
        at: where the count of format codes stands.
        types: what Parse said: the type of each parameter, 4 bytes each.
    """
    try:
        (formats,) = _SHORT(message, at)
        binary = struct.unpack_from(f"!{formats}h", message, at + 2)
        (count,) = _SHORT(message, at + 2 + 2 * formats)
        at += 4 + 2 * formats
        for index in range(count):
            (size,) = _LONG(message, at)
            at += 4
            if size < 0:
                continue
            value = message[at : at + size]
            at += size
            yield value
            if binary and binary[index if formats > 1 else 0]:
                yield from _texts(value, _type(types, index))
            elif size >= 32 and _type(types, index) in _WITH_UUIDS:
                yield from (str(UUID(found.decode())).encode() for found in _BARE_UUID.findall(value))
    except (struct.error, IndexError):
        return


def _type(types: bytes, index: int) -> int:
    return int.from_bytes(types[4 * index : 4 * index + 4], "big")


def _texts(value: bytes, oid: int) -> Iterator[bytes]:
    size = len(value)
    if size == 16 and oid in {_UUID, _UNKNOWN}:
        yield str(UUID(bytes=value)).encode()
    elif size == _INTEGERS.get(oid) or (oid == _UNKNOWN and size in {2, 4, 8}):
        yield str(int.from_bytes(value, "big", signed=True)).encode()
    elif size > 20 and (oid in _ELEMENTS or oid == _UNKNOWN):
        yield from _elements(value)


def _elements(value: bytes) -> Iterator[bytes]:
    dimensions, flags, oid = _ARRAY(value, 0)
    if dimensions != 1 or flags not in {0, 1} or oid not in _ELEMENTS.values():
        return
    at = 20
    for _ in range(_LARGEST_ARRAY):
        if at >= len(value):
            return
        (size,) = _LONG(value, at)
        at += 4 + max(size, 0)
        if size > 0:
            yield from _texts(value[at - size : at], oid)
