"""Exchanges that are skimmed leave a session as if it had received them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airproof.wire.protocols.postgres import PostgresSession
from airproof.wire.protocols.redis import RedisSession
from airproof.wire.session import Sender, Session

from .postgres.test_streams import STARTUP, message
from .test_splits import command, commands, plain, values

Piece = tuple[Sender, bytes]
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
TEXTS = {
    b"reads": b"SELECT 1",
    b"changes": b"UPDATE t SET n = 1",
    b"begins": b"BEGIN",
    b"commits": b"COMMIT",
    b"savepoint": b"ROLLBACK TO a",
    b"both": b"SELECT 1; COMMIT",
    b"executes": b"EXECUTE reads",
    b"two-phase": b"COMMIT PREPARED 'x'",
}
EXECUTE, SYNC, DESCRIBE = message(b"E", b"\0\0\0\0\0"), message(b"S"), message(b"D", b"P\0")
ROW = message(b"D", b"\0\1\0\0\0\1" + b"7")
DONE = message(b"C", b"SELECT 1\0")


def said_after(
    session: Session, pieces: Sequence[Piece], probe: Sequence[Piece], *, skims: bool
) -> tuple[list[tuple[Any, ...]], bool, int]:
    """What it says of the probe after those pieces, whether it still follows, and how many exchanges it has skimmed."""
    rest = list(pieces)
    skimmed = 0
    while rest:
        alternate = [sender for sender, _ in rest[:2]] == [Sender.CLIENT, Sender.SERVER]
        if skims and alternate and session.skim(rest[0][1], rest[1][1]):
            del rest[:2]
            skimmed += 1
        else:
            session.receive(*rest.pop(0))
    session.watched = True
    segments = [segment for piece in probe for segment in session.receive(*piece)]
    told = {one.number: one for _, one, _ in segments if one}
    described = [
        (one.number, one.event, one.transaction, one.outcome, one.fields, one.content) for one in told.values()
    ]
    return described, session.opaque, skimmed


def bind(name: bytes, portal: bytes = b"", parameter: bytes = b"42") -> bytes:
    values = struct.pack("!hhi", 0, 1, len(parameter)) + parameter + b"\0\0"
    return message(b"B", portal + b"\0" + name + b"\0" + values)


def ready(status: bytes) -> bytes:
    return message(b"Z", status)


def prepared(name: bytes, text: bytes) -> list[Piece]:
    asked = message(b"P", name + b"\0" + text + b"\0\0\0") + SYNC
    return [(CLIENT, asked), (SERVER, message(b"1") + ready(b"I"))]


BEGINNING: list[Piece] = [
    (CLIENT, STARTUP),
    (SERVER, message(b"R", bytes(4)) + ready(b"I")),
    *(piece for name, text in TEXTS.items() for piece in prepared(name, text)),
]
PROBE: list[Piece] = [
    (CLIENT, EXECUTE + SYNC),
    (SERVER, DONE + ready(b"I")),
    (CLIENT, message(b"Q", b"SELECT 2\0")),
    (SERVER, DONE + ready(b"I")),
    (CLIENT, message(b"Q", b"BEGIN\0")),
    (SERVER, message(b"C", b"BEGIN\0") + ready(b"T")),
]

names = st.sampled_from([*TEXTS, b"unknown"])
requests = st.one_of(
    st.builds(lambda name, told: bind(name) + DESCRIBE * told + EXECUTE + SYNC, names, st.booleans()),
    st.builds(lambda name: bind(name, b"portal") + EXECUTE + SYNC, names),
    st.builds(lambda name: bind(name) + EXECUTE + message(b"H"), names),
    st.builds(lambda name: bind(name, parameter=EXECUTE + SYNC) + EXECUTE + SYNC, names),
    st.sampled_from([SYNC, message(b"Q", b"BEGIN\0"), message(b"Q", b"COMMIT\0"), b"B", b"B\0\0\0\0"]),
)
replies = st.one_of(
    st.builds(
        lambda rows, status: message(b"2") + ROW * rows + DONE + ready(status),
        st.integers(0, 3),
        st.sampled_from([b"I", b"T", b"E"]),
    ),
    st.sampled_from(
        [
            message(b"2") + message(b"E", b"SERROR\0VERROR\0C40001\0\0") + ready(b"E"),
            message(b"2") + message(b"D", ready(b"I")),
            message(b"2") + message(b"N", b"SNOTICE\0\0") + DONE + ready(b"I"),
            ready(b"I"),
            ready(b"?"),
            message(b"2"),
            b"Z",
        ]
    ),
)
exchanges = st.lists(st.tuples(requests, replies).map(lambda pair: [(CLIENT, pair[0]), (SERVER, pair[1])]), max_size=8)


def follow(pieces: list[Piece], *, skims: bool) -> tuple[list[tuple[Any, ...]], bool, int]:
    return said_after(PostgresSession(), [*BEGINNING, *pieces], PROBE, skims=skims)


@settings(max_examples=300)
@given(exchanges)
@example([[(CLIENT, bind(b"reads") + EXECUTE + SYNC), (SERVER, message(b"2") + ROW + DONE + ready(b"I"))]])
def test_what_is_skimmed_leaves_what_receiving_it_leaves(pairs: list[list[Piece]]) -> None:
    pieces = [piece for pair in pairs for piece in pair]
    skimmed = follow(pieces, skims=True)
    assert skimmed[:2] == follow(pieces, skims=False)[:2]


def test_executions_are_skimmed_while_the_transaction_goes_on() -> None:
    def executed(name: bytes, status: bytes) -> list[Piece]:
        return [(CLIENT, bind(name) + EXECUTE + SYNC), (SERVER, message(b"2") + ROW + DONE + ready(status))]

    idle = [*executed(b"reads", b"I"), *executed(b"reads", b"I")]
    inside = [*executed(b"begins", b"T"), *executed(b"changes", b"T"), *executed(b"reads", b"T")]
    assert follow(idle, skims=True)[2] == 2
    assert follow([*idle, *inside, *executed(b"commits", b"I"), *idle], skims=True)[2] == 6
    assert follow(executed(b"changes", b"I"), skims=True)[2] == 0
    assert follow(inside, skims=True)[0] == follow(inside, skims=False)[0]  # the last portal can be executed again


@pytest.mark.parametrize("begun", [bind(b"reads")[:3], bind(b"reads"), message(b"Q", b"SELECT 1\0")])
def test_nothing_is_skimmed_while_something_else_is_under_way(begun: bytes) -> None:
    session = PostgresSession()
    for piece in [*BEGINNING, (CLIENT, begun)]:
        session.receive(*piece)
    assert not session.skim(bind(b"reads") + EXECUTE + SYNC, message(b"2") + ROW + DONE + ready(b"I"))


whole_commands = st.sampled_from([[b"GET", b"a"], [b"SET", b"a", b"1"], [b"PING"], [b"MULTI"], [b"EXEC"]]).map(command)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.one_of(commands, whole_commands), st.one_of(values, plain)), max_size=12))
def test_what_is_skimmed_of_redis_leaves_what_receiving_it_leaves(asked: list[tuple[bytes, bytes]]) -> None:
    pieces = [piece for request, reply in asked for piece in ((CLIENT, request), (SERVER, reply))]
    probe = [(CLIENT, command([b"GET", b"key"])), (SERVER, b"$1\r\n1\r\n")]
    skimmed, received = (said_after(RedisSession(), pieces, probe, skims=skims) for skims in (True, False))
    assert skimmed[:2] == received[:2]


def test_plain_commands_are_skimmed_outside_of_transactions() -> None:
    get = [(CLIENT, command([b"GET", b"key"])), (SERVER, b"$1\r\n1\r\n")]
    multi = [(CLIENT, command([b"MULTI"])), (SERVER, b"+OK\r\n")]
    said_after(RedisSession(), get, [], skims=False)  # commands are known when they were seen once, by any session
    assert said_after(RedisSession(), [*get, *get, *multi, *get], get, skims=True)[2] == 2
