"""Any split of a stream gives the same exchanges, and bytes out are bytes in, whatever the bytes are."""

from __future__ import annotations

import random
import socket
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airproof.wire.protocols.postgres import PostgresSession
from airproof.wire.session import Exchange, Sender

Piece = tuple[Sender, bytes]
Recording = Sequence[Piece]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", len(body) + 8, code) + body


STARTUP = packet(196608, b"user\0postgres\0\0")


def replay(pieces: Iterable[Piece], watched: bool) -> tuple[list[Exchange], list[bytes], bool]:
    """What a new session makes of it, what went out on each side, and whether it was followed to its end."""
    session = PostgresSession()
    session.watched = watched
    exchanges: dict[int, Exchange] = {}
    out = [b"", b""]
    followed = True
    ends = [(sender, None) for sender in Sender]
    for sender, data in [*pieces, *ends]:
        followed = followed if data is None else not session.opaque
        for segment in session.finish(sender) if data is None else session.receive(sender, data):
            out[sender] += segment.data
            if segment.exchange:
                exchanges[segment.exchange.number] = segment.exchange
    return list(exchanges.values()), out, followed


def joined(pieces: Recording) -> list[Piece]:
    groups = groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    return [(sender, b"".join(data for _, data in group)) for sender, group in groups]


def split(pieces: Recording, seed: int, longest: int) -> Iterator[Piece]:
    chance = random.Random(seed)
    for sender, data in pieces:
        at = 0
        while at < len(data):
            size = chance.randint(1, longest)
            yield sender, data[at : at + size]
            at += size


def described(exchanges: Iterable[Exchange], watched: bool) -> list[tuple[Any, ...]]:
    return [
        (one.number, one.event, one.transaction, one.outcome, *((one.fields, one.content) if watched else ()))
        for one in exchanges
    ]


def in_both_directions(pieces: Recording) -> list[bytes]:
    return [b"".join(data for one, data in pieces if one is sender) for sender in Sender]


@pytest.fixture(scope="module")
def recordings(make_forwarder: Callable[[], Any]) -> list[list[Piece]]:
    forwarder = make_forwarder()
    for use in (transactions, pipelines, copies, prepared_statements, raw_protocol):
        use(forwarder)
    for followed in forwarder.followed:
        followed.join()
    return [joined(followed.pieces) for followed in forwarder.followed]


def transactions(forwarder: Any) -> None:
    with forwarder.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS streamed (id uuid, amount bigint)")
        connection.execute("INSERT INTO streamed VALUES (%b, %b)", (uuid.uuid4(), 1))
        connection.commit()
        with suppress(psycopg.Error):
            connection.execute("SELECT 1/0")
        connection.rollback()
        connection.tpc_begin("branch")
        connection.execute("DELETE FROM streamed")
        connection.tpc_prepare()
        connection.tpc_rollback()
        connection.pgconn.exec_(b"BEGIN; UPDATE streamed SET amount = 2; COMMIT; LISTEN news; NOTIFY news; SELECT 'x'")


def pipelines(forwarder: Any) -> None:
    with forwarder.connect(autocommit=True) as connection:
        with suppress(psycopg.Error), connection.pipeline() as pipeline:
            for amount in range(10):
                connection.execute("INSERT INTO streamed VALUES (%s, %s)", (uuid.uuid4(), amount))
            pipeline.sync()
            connection.execute("SELECT * FROM streamed").fetchall()
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 1")
        connection.cursor().executemany("UPDATE streamed SET amount = %s", [(1,), (2,), (3,)])


def copies(forwarder: Any) -> None:
    with forwarder.connect(autocommit=True) as connection:
        with connection.cursor().copy("COPY streamed FROM STDIN") as copy:
            for amount in range(200):
                copy.write_row((uuid.uuid4(), amount))
        with connection.cursor().copy("COPY streamed TO STDOUT") as copy:
            assert len(list(copy)) >= 200
    with forwarder.connect(autocommit=True) as connection:
        connection.pgconn.exec_params(b"COPY streamed FROM STDIN", None)
        connection.pgconn.put_copy_data(b"00000000000000000000000000000000\t1\n")
        connection.pgconn.put_copy_end()
        connection.close()


def prepared_statements(forwarder: Any) -> None:
    with forwarder.connect(autocommit=True, prepare_threshold=0) as connection:
        for amount in range(3):
            connection.execute("SELECT * FROM streamed WHERE amount = %s", (amount,))
        connection.execute("BEGIN")
        connection.execute("COMMIT")
        connection.execute("DISCARD ALL", prepare=False)
        connection.execute("SELECT %s", ("a long parameter " * 8000,))


def raw_protocol(forwarder: Any) -> None:
    client = forwarder.socket()
    client.sendall(packet(80877103))
    assert client.recv(1) == b"N"
    bind = message(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0))
    parsed = message(b"P", b"\0SELECT 1\0\0\0") + bind + message(b"E", b"\0\0\0\0\0")
    # int4pl(1, 2) by its number, and everything at once behind the startup.
    call = message(b"F", struct.pack("!IhhhiiiiH", 177, 1, 1, 2, 4, 1, 4, 2, 1))
    client.sendall(STARTUP + parsed + message(b"S") + call + message(b"S") + message(b"Q", b"SELECT 2\0"))
    client.sendall(parsed + message(b"H"))
    client.sendall(message(b"S") + message(b"X"))
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):
        pass


def test_recordings_hold_every_kind_of_exchange(recordings: list[list[Piece]]) -> None:
    events = {one.event for recording in recordings for one in replay(recording, watched=True)[0]}
    assert events >= {
        *("startup", "begin", "query", "commit", "rollback", "autocommit", "prepare_transaction"),
        *("rollback_prepared", "copy", "parse", "sync", "function_call", "terminate"),
    }


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), longest=st.sampled_from([1, 3, 7, 50, 1000, 20000]), watched=st.booleans())
def test_any_split_gives_the_same_exchanges_and_bytes(
    recordings: list[list[Piece]], seed: int, longest: int, watched: bool
) -> None:
    recording = recordings[seed % len(recordings)]
    whole, _, _ = replay(recording, watched=watched)
    exchanges, out, followed = replay(split(recording, seed, longest), watched)
    assert out == in_both_directions(recording)
    assert described(exchanges, watched) == described(whole, watched)
    assert not any(one.outcome is None for one in exchanges)
    assert followed


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_being_watched_changes_neither_events_nor_outcomes(recordings: list[list[Piece]], seed: int) -> None:
    recording = recordings[seed % len(recordings)]
    watched, _, _ = replay(recording, watched=True)
    unwatched, _, _ = replay(split(recording, seed, 5000), watched=False)
    assert described(unwatched, watched=False) == described(watched, watched=False)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_a_stream_with_wrong_bytes_in_it_loses_nothing(recordings: list[list[Piece]], seed: int) -> None:
    chance = random.Random(seed)
    recording = list(recordings[seed % len(recordings)])
    at = chance.randrange(len(recording))
    sender, data = recording[at]
    wrong = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        wrong[chance.randrange(len(wrong))] = chance.randrange(256)
    recording[at] = (sender, bytes(wrong))
    _, out, _ = replay(split(recording, seed, 500), watched=bool(seed & 1))
    assert out == in_both_directions(recording)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from(Sender), st.binary(min_size=1, max_size=60)), max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_garbage_loses_nothing(pieces: list[Piece], started: bool, watched: bool) -> None:
    pieces = [(Sender.CLIENT, STARTUP), *pieces] if started else pieces
    _, out, _ = replay(pieces, watched)
    assert out == in_both_directions(pieces)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Sender),
            st.sampled_from(b"BCDEFGHIKNPQRSTVWXZcdfnpst123"),
            st.sampled_from([b"", b"I", b"\0", b"\0\0\0\0", b"a\0b\0", b"COPY a FROM STDIN\0", b"SFATAL\0C1\0\0"]),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_messages_in_any_order_lose_nothing(pieces: list[tuple[Sender, int, bytes]], watched: bool) -> None:
    sent = [(sender, message(bytes([kind]), body)) for sender, kind, body in pieces]
    _, out, _ = replay([(Sender.CLIENT, STARTUP), *sent], watched)
    assert out == in_both_directions([(Sender.CLIENT, STARTUP), *sent])


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0\0\0\x08\0\x02\0\0"])
def test_what_is_no_postgresql_is_bytes_at_once(first: bytes) -> None:
    session = PostgresSession()
    (segment,) = session.receive(Sender.CLIENT, first)
    assert segment == (first, None, False)
    assert session.opaque


@pytest.mark.parametrize("answer", [b"S", b"G"])
def test_encryption_that_is_accepted_is_bytes_from_there(answer: bytes) -> None:
    session = PostgresSession()
    session.receive(Sender.CLIENT, packet(80877103))
    assert session.receive(Sender.SERVER, answer) == [(answer, None, False)]
    assert session.opaque
