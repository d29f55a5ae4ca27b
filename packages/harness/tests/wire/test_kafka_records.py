"""Record batches: read whatever packed them, bounded whatever they claim, and written anew as a broker would."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.protocols.kafka.apis import api_named
from airproof.wire.protocols.kafka.compression import CODECS, XERIAL, CannotUnpack, unpack
from airproof.wire.protocols.kafka.contents import CONTENT_LIMIT_BYTES, Records
from airproof.wire.protocols.kafka.editing import crc32c, edited, write_record
from airproof.wire.protocols.kafka.primitives import MalformedMessage
from airproof.wire.protocols.kafka.records import CRC_END, HEADER, Record, read_batches, read_records
from airproof.wire.protocols.kafka.topics import TopicNames

cramjam = pytest.importorskip("cramjam")

LIMIT = 2**20
TEXT = b"a record's value, again and again " * 100


def xerial(data: bytes) -> bytes:
    blocks = [bytes(cramjam.snappy.compress_raw(part)) for part in (data[:1000], data[1000:])]
    return XERIAL + bytes(8) + b"".join(struct.pack(">I", len(block)) + block for block in blocks)


PACKERS: dict[str, list[Callable[[bytes], bytes]]] = {
    "none": [bytes],
    "gzip": [gzip.compress],
    "snappy": [lambda data: bytes(cramjam.snappy.compress_raw(data)), xerial],
    "lz4": [lambda data: bytes(cramjam.lz4.compress(data))],
    "zstd": [lambda data: bytes(cramjam.zstd.compress(data))],
}
PACKED = [(codec, pack) for codec, packers in PACKERS.items() for pack in packers]


def batch(
    *records: Record, codec: str = "none", pack: Callable[[bytes], bytes] = bytes, control: bool = False
) -> bytes:
    packed = pack(b"".join(write_record(record) for record in records))
    attributes = CODECS.index(codec) | (0x20 if control else 0)
    length, last = HEADER.size - 12 + len(packed), len(records) - 1
    head = HEADER.pack(7, length, 0, 2, 0, attributes, last, 0, 0, -1, -1, -1, len(records))
    return head[: CRC_END - 4] + struct.pack(">I", crc32c(head[CRC_END:] + packed)) + head[CRC_END:] + packed


def record(offset: int, value: bytes | None, key: bytes | None = None) -> Record:
    return Record(offset, 0, key, value, ((b"cause", b"c-1"), (b"empty", None)))


@pytest.mark.parametrize(("codec", "pack"), PACKED)
def test_every_packing_is_read(codec: str, pack: Callable[[bytes], bytes]) -> None:
    assert unpack(codec, pack(TEXT), LIMIT) == TEXT
    records = Records()
    records.add(batch(record(0, TEXT, b"k-1"), record(1, b"second", b"k-2"), codec=codec, pack=pack))
    assert TEXT in records.content
    assert records.fields() == {"records": 2, "key": "k-1", "keys": "k-1,k-2", "compression": codec}


@pytest.mark.parametrize(("codec", "pack"), PACKED[1:])
def test_what_would_be_longer_than_the_limit_is_not_unpacked(codec: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CannotUnpack):
        unpack(codec, pack(bytes(LIMIT + 1)), LIMIT)


@given(st.sampled_from(CODECS[1:]), st.binary(max_size=300))
def test_garbage_is_not_unpacked(codec: str, garbage: bytes) -> None:
    try:
        assert len(unpack(codec, garbage, LIMIT)) <= LIMIT
    except CannotUnpack:
        return


def test_many_bombs_cost_no_more_than_one() -> None:
    bomb = batch(record(0, bytes(2 * CONTENT_LIMIT_BYTES)), codec="zstd", pack=PACKERS["zstd"][0])
    records = Records()
    records.add(bomb * 2000)
    assert records.count == 2000
    assert len(records.content) < len(bomb) * 2000


def test_a_batch_that_is_cut_off_or_old_is_left_out() -> None:
    whole = batch(record(0, b"one"))
    old = b"\0" * 16 + b"\1" + b"\0" * 80
    assert [each.number for each in read_batches(whole + whole[:-1])] == [1]
    assert list(read_batches(old)) == []


@given(st.binary(max_size=200))
def test_garbage_is_no_batch(garbage: bytes) -> None:
    records = Records()
    records.add(garbage)
    records.add(HEADER.pack(0, 49 + len(garbage), 0, 2, 0, 0, 0, 0, 0, -1, -1, -1, 2**31 - 1) + garbage)
    assert len(records.keys) <= 100


def test_the_broker_s_own_marks_are_no_records() -> None:
    records = Records()
    records.add(batch(record(0, b"end of a transaction"), control=True))
    assert records.fields() == {"records": 0, "keys": "", "compression": ""}


def test_the_checksum_is_castagnoli_s() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def reply(version: int, data: bytes) -> bytes:
    topic = {"Topic": "orders", "Partitions": [{"PartitionIndex": 2, "Records": data}]}
    body = api_named("Fetch").response(version).encode({"Responses": [topic]})
    content = b"\0\0\0\x07" + (b"\0" if version >= 12 else b"") + body
    return struct.pack(">i", len(content)) + content


@pytest.mark.parametrize("version", [4, 11, 12])
@pytest.mark.parametrize(("codec", "pack"), PACKED)
def test_records_of_a_reply_are_changed_and_left_out(version: int, codec: str, pack: Callable[[bytes], bytes]) -> None:
    marks = batch(record(3, b"mark"), control=True)
    before = batch(record(0, b"one"), record(1, b"two", b"k"), record(2, None), codec=codec, pack=pack) + marks

    def change(topic: str, partition: int, found: Record) -> Record | None:
        assert (topic, partition) == ("orders", 2)
        return None if found.offset == 0 else found._replace(value=b"changed")

    after = edited(version, reply(version, before), change, TopicNames())
    assert after == reply(version, batch_of(before, record(1, b"changed", b"k"), record(2, b"changed")) + marks)


def batch_of(before: bytes, *records: Record) -> bytes:
    """A batch with these records and, as after compaction, the offsets of the first one before."""
    made = bytearray(batch(*records))
    made[CRC_END + 2 : CRC_END + 6] = before[CRC_END + 2 : CRC_END + 6]
    made[CRC_END - 4 : CRC_END] = struct.pack(">I", crc32c(bytes(made[CRC_END:])))
    return bytes(made)


def test_what_cannot_be_read_is_not_changed() -> None:
    packed = batch(record(0, b"one"), codec="zstd", pack=lambda data: b"no zstd")
    assert edited(12, reply(12, packed), lambda topic, partition, found: found, TopicNames()) is None
    assert edited(12, b"\0\0\0\x04", lambda topic, partition, found: found, TopicNames()) is None


def test_a_record_that_is_cut_off_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        list(read_records(write_record(record(0, b"one"))[:-1], 1))
