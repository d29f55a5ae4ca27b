"""Record batches, as Produce and Fetch carry them: what is in them, decompressed.

Only the format of Kafka 0.11 and later (magic 2): brokers from 4.0 on accept no other.
Source: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from airproof.wire.protocols.kafka.compression import CODECS, unpack
from airproof.wire.protocols.kafka.primitives import Bytes, MalformedMessage, end_of, read_signed

HEADER = Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, base and greatest timestamp,
producer id, producer epoch, base sequence, number of records."""

LENGTH_END = 12
"""A batch's length counts from here."""

ATTRIBUTES_BYTES = 1
"""Of a record, after its length."""

MAGIC = 2
CODEC_MASK = 0x07
CONTROL = 0x20


class Batch(NamedTuple):
    """One record batch.

    Attributes:
        header: the values of `HEADER`.
        packed: its records, as `codec` packed them; a view of the message's bytes.
        number: of records.
    """

    header: tuple[int, ...]
    packed: Bytes

    @property
    def codec(self) -> str:
        number = self.header[5] & CODEC_MASK
        return CODECS[number] if number < len(CODECS) else str(number)

    @property
    def number(self) -> int:
        return max(0, self.header[-1])

    @property
    def control(self) -> bool:
        """Whether it is a mark of the broker's: a transaction's end."""
        return bool(self.header[5] & CONTROL)

    def unpacked(self, limit_bytes: int) -> Bytes:
        """Its records, of at most so many bytes.

        Raises:
            CannotUnpack: broken, or longer.
        """
        return unpack(self.codec, self.packed, limit_bytes)


def read_batches(data: Bytes) -> Iterator[Batch]:
    """The batches of a partition; what is no batch is left out, and a last one that is cut off."""
    at = 0
    while at + HEADER.size <= len(data):
        header = HEADER.unpack_from(data, at)
        end = at + LENGTH_END + header[1]
        if header[3] != MAGIC or end > len(data) or end < at + HEADER.size:
            return
        yield Batch(header, data[at + HEADER.size : end])
        at = end


def read_keys(records: Bytes, count: int) -> Iterator[bytes | None]:
    """The keys of a batch's records, one after the other; None of a record without one.

    Raises:
        MalformedMessage: they are not that many, or no records.
    """
    at = 0
    try:
        for _ in range(count):
            size, at = read_signed(records, at)
            end = end_of(records, at, size)
            yield _key(records, at + ATTRIBUTES_BYTES)
            at = end
    except IndexError as error:
        raise MalformedMessage("a record is cut off") from error


def _key(records: Bytes, at: int) -> bytes | None:
    _timestamp, at = read_signed(records, at)
    _offset, at = read_signed(records, at)
    size, at = read_signed(records, at)
    return None if size == -1 else bytes(records[at : end_of(records, at, size)])
