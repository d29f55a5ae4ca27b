from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from airproof.wire.protocols.redis import RedisSession
from airproof.wire.session import Sender

Turn = tuple[Sender, bytes]
CLIENT, SERVER = Sender.CLIENT, Sender.SERVER

sizes = st.integers(0, 40)
blobs = st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n", b"$3\r\n", b"*1\r\n$4\r\nPING\r\n", b"x" * 1030]))
names = st.sampled_from("GET SET get mget EVAL INCR MULTI EXEC DISCARD SELECT CLIENT CONFIG PING nonsense".split())  # noqa: SIM905
lines = st.text("abc -", max_size=8).map(str.encode)


def command(arguments: Iterable[bytes]) -> bytes:
    words = list(arguments)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def bulk(data: bytes, sign: bytes = b"$") -> bytes:
    return b"%b%d\r\n%b\r\n" % (sign, len(data), data)


def aggregate(elements: list[bytes], sign: bytes) -> bytes:
    count = len(elements) // 2 if sign == b"%" else len(elements)
    return b"%b%d\r\n" % (sign, count) + b"".join(elements[: count * 2 if sign == b"%" else count])


plain = st.one_of(
    st.sampled_from([b"+OK\r\n", b":1\r\n", b"_\r\n", b"$-1\r\n", b"*-1\r\n", b"#t\r\n", b",1.5\r\n", b"(12\r\n"]),
    lines.map(lambda line: b"+" + line + b"\r\n"),
    lines.map(lambda line: b"-ERR " + line + b"\r\n"),
    blobs.map(bulk),
    blobs.map(lambda data: bulk(data, b"!")),
    blobs.map(lambda data: bulk(data, b"=")),
)
values = st.recursive(
    plain, lambda inner: st.builds(aggregate, st.lists(inner, max_size=5), st.sampled_from([b"*", b"~", b"%"]))
)
commands = st.builds(lambda name, rest: command([name.encode(), *rest]), names, st.lists(blobs, max_size=4))


@st.composite
def conversations(draw: st.DrawFn) -> list[Turn]:
    """Turns of pipelined commands and as many replies, some too few or too many, some of it no Redis at all."""
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 4))):
        asked = draw(st.lists(commands, min_size=1, max_size=6))
        turns.append((CLIENT, b"".join(asked)))
        turns.append((SERVER, b"".join(draw(values) for _ in asked)))
    if draw(st.booleans()):
        turns.append((draw(st.sampled_from(Sender)), draw(st.binary(max_size=60))))
    return turns


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=12))})
    return [data[begin:end] for begin, end in pairwise(places)]


def follow(turns: Iterable[Turn], *, watched: bool) -> tuple[list[object], bytes, bytes, bool]:
    """The exchanges in order and whether each reply ended; the bytes of both sides; whether it turned opaque."""
    session = RedisSession()
    session.watched = watched
    seen: dict[int, object] = {}
    passed: tuple[list[bytes], list[bytes]] = ([], [])
    ended: list[tuple[int, int]] = []
    steps = [(sender, session.receive(sender, data)) for sender, data in turns]
    steps += [(sender, session.finish(sender)) for sender in Sender]
    for sender, segments in steps:
        for data, exchange, last in segments:
            passed[sender].append(data)
            if exchange:
                seen[exchange.number] = (exchange.event, exchange.transaction, exchange.outcome)
                if watched:
                    seen[-exchange.number] = (exchange.fields, exchange.content)
                if last:
                    ended.append((sender, exchange.number))
    return [sorted(seen.items()), sorted(ended)], b"".join(passed[0]), b"".join(passed[1]), session.opaque


@settings(max_examples=80, deadline=None)
@given(st.data(), conversations(), st.booleans())
def test_any_split_gives_the_same_exchanges_and_bytes(data: st.DataObject, turns: list[Turn], watched: bool) -> None:
    whole = follow(turns, watched=watched)
    pieces = [(sender, piece) for sender, sent in turns for piece in data.draw(st.composite(cut)(sent))]

    assert follow(pieces, watched=watched) == whole
    assert follow([(sender, bytes([one])) for sender, sent in turns for one in sent], watched=watched) == whole
    assert whole[1] == b"".join(sent for sender, sent in turns if sender is CLIENT)
    assert whole[2] == b"".join(sent for sender, sent in turns if sender is SERVER)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Sender), st.binary(min_size=1, max_size=50)), max_size=8), st.booleans())
def test_garbage_passes_unchanged(turns: list[Turn], watched: bool) -> None:
    _, client, server, _ = follow(turns, watched=watched)

    assert client == b"".join(sent for sender, sent in turns if sender is CLIENT)
    assert server == b"".join(sent for sender, sent in turns if sender is SERVER)
