"""Packing and unpacking of record batches: gzip from the standard library, the others through cramjam.

What unpacks to more than the limit is not unpacked: memory is bounded whatever the sender claims.
"""

from __future__ import annotations

import struct
import zlib

from airproof.wire.protocols.kafka.primitives import Bytes

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
"""By their number in a batch's attributes."""

XERIAL = b"\x82SNAPPY\0"
XERIAL_HEADER_BYTES = 16
"""The magic and two versions; then blocks, each with its length before it. Java's clients write snappy so."""

GZIP_WINDOW = 31


class CannotUnpack(ValueError):
    """The bytes are not what the codec makes, or there would be too many of them."""


def unpack(codec: str, data: Bytes, limit_bytes: int) -> Bytes:
    """The bytes that were packed, in memory of their own only where they were.

    Raises:
        CannotUnpack: broken, or more than `limit_bytes`.
    """
    if codec == "none":
        return data
    if limit_bytes <= 0:  # zlib takes 0 for no limit
        raise CannotUnpack(f"{codec}: more than {limit_bytes} bytes")
    if codec == "gzip":
        return _gunzip(data, limit_bytes)
    if codec == "snappy" and data[: len(XERIAL)] == XERIAL:
        return _unpack_xerial(data, limit_bytes)
    return _unpack_into(codec, data, limit_bytes)


def _gunzip(data: Bytes, limit_bytes: int) -> bytes:
    stream = zlib.decompressobj(GZIP_WINDOW)
    try:
        unpacked = stream.decompress(data, limit_bytes)
    except zlib.error as error:
        raise CannotUnpack(str(error)) from error
    if not stream.eof:
        raise CannotUnpack(f"gzip: incomplete, or more than {limit_bytes} bytes")
    return unpacked


def _unpack_xerial(data: Bytes, limit_bytes: int) -> bytes:
    unpacked = bytearray()
    at = XERIAL_HEADER_BYTES
    while at < len(data):
        if at + 4 > len(data):
            raise CannotUnpack("snappy: a block is cut off")
        (size,) = struct.unpack_from(">I", data, at)
        unpacked += _unpack_into("snappy", data[at + 4 : at + 4 + size], limit_bytes - len(unpacked))
        at += 4 + size
    return bytes(unpacked)


def _unpack_into(codec: str, data: Bytes, limit_bytes: int) -> bytes:
    import cramjam

    # Pages of the target that nothing is written to cost nothing.
    target = bytearray(limit_bytes)
    try:
        if codec == "snappy":
            size = cramjam.snappy.decompress_raw_into(data, target)
        else:
            size = (cramjam.lz4 if codec == "lz4" else cramjam.zstd).decompress_into(data, target)
    except cramjam.DecompressionError as error:
        raise CannotUnpack(f"{codec}: {error}") from error
    return bytes(memoryview(target)[:size])
