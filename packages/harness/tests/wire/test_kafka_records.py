"""Record batches: read whatever packed them, and bounded whatever they claim."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.protocols.kafka.compression import CODECS, XERIAL, CannotUnpack, unpack
from airproof.wire.protocols.kafka.contents import CONTENT_LIMIT_BYTES, Records
from airproof.wire.protocols.kafka.primitives import MalformedMessage
from airproof.wire.protocols.kafka.records import HEADER, read_batches, read_keys

from .batches import Record, write_batch, write_record

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


def record(offset: int, value: bytes | None, key: bytes | None = None) -> Record:
    return Record(offset, 0, key, value, ((b"cause", b"c-1"), (b"empty", None)))


@pytest.mark.parametrize(("codec", "pack"), PACKED)
def test_every_packing_is_read(codec: str, pack: Callable[[bytes], bytes]) -> None:
    assert unpack(codec, pack(TEXT), LIMIT) == TEXT
    records = Records()
    records.add(write_batch(record(0, TEXT, b"k-1"), record(1, b"second", b"k-2"), codec=codec, pack=pack))
    assert TEXT in records.content
    assert records.fields() == {"records": 2, "key": "k-1", "keys": "k-1,k-2", "compression": codec}


@pytest.mark.parametrize(("codec", "pack"), PACKED[1:])
def test_what_would_be_longer_than_the_limit_is_not_unpacked(codec: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CannotUnpack):
        unpack(codec, pack(bytes(LIMIT + 1)), LIMIT)


@pytest.mark.parametrize("limit", [0, -5])
@pytest.mark.parametrize(("codec", "pack"), PACKED[1:])
def test_where_there_is_no_room_nothing_is_unpacked(codec: str, pack: Callable[[bytes], bytes], limit: int) -> None:
    with pytest.raises(CannotUnpack):
        unpack(codec, pack(TEXT), limit)


def test_what_comes_when_all_room_is_taken_is_searched_as_it_was_sent() -> None:
    packed = gzip.compress(TEXT)
    records = Records(budget=5000)
    records.add(write_batch(record(0, bytes(4000))))
    records.add(write_batch(record(0, bytes(4000))))
    records.add(write_batch(record(0, TEXT), codec="gzip", pack=lambda _: packed))
    assert records.count == 3
    assert records.content.endswith(packed)


@given(st.sampled_from(CODECS[1:]), st.binary(max_size=300))
def test_garbage_is_not_unpacked(codec: str, garbage: bytes) -> None:
    try:
        assert len(unpack(codec, garbage, LIMIT)) <= LIMIT
    except CannotUnpack:
        return


def test_many_bombs_cost_no_more_than_one() -> None:
    bomb = write_batch(record(0, bytes(2 * CONTENT_LIMIT_BYTES)), codec="zstd", pack=PACKERS["zstd"][0])
    records = Records()
    records.add(bomb * 2000)
    assert records.count == 2000
    assert len(records.content) < len(bomb) * 2000


def test_a_batch_that_is_cut_off_or_old_is_left_out() -> None:
    whole = write_batch(record(0, b"one"))
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
    records.add(write_batch(record(0, b"end of a transaction"), control=True))
    assert records.fields() == {"records": 0, "keys": "", "compression": ""}


def test_keys_are_those_of_the_records_that_have_one() -> None:
    records = write_record(record(0, b"one", b"k")) + write_record(record(1, None)) + write_record(record(2, b"", b""))
    assert list(read_keys(records, 3)) == [b"k", None, b""]


def test_a_record_that_is_cut_off_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        list(read_keys(write_record(record(0, b"one"))[:-1], 1))
