from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airproof.wire.protocols.http import HttpSession
from airproof.wire.protocols.redis import RedisSession
from airproof.wire.protocols.smtp import SmtpSession
from airproof.wire.session import Sender, Session

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
def redis_turns(draw: st.DrawFn) -> list[Turn]:
    """Pipelined commands and as many replies, some too few or too many."""
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 4))):
        asked = draw(st.lists(commands, min_size=1, max_size=6))
        turns.append((CLIENT, b"".join(asked)))
        turns.append((SERVER, b"".join(draw(values) for _ in asked)))
    return turns


def chunked(pieces: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece]
    return b"".join([*chunks, b"0\r\n", trailer, b"\r\n"])


bodies = st.one_of(
    st.just(b"\r\n"),
    blobs.map(lambda data: b"Content-Length: %d\r\n\r\n%b" % (len(data), data)),
    st.builds(
        lambda *parts: b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*parts),
        st.lists(blobs, max_size=3),
        st.sampled_from([b"", b";a=b", b' ; x="y"']),
        st.sampled_from([b"", b"X-Sum: 1\r\n"]),
    ),
    st.sampled_from([b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b" folded: 1\r\n\r\n"]),
)
requests = st.builds(
    lambda method, rest: method + b" /a/b?c=d HTTP/1.1\r\nHost: x\r\n" + rest,
    st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT"]),
    bodies,
)
replies = st.builds(
    lambda interim, status, rest: interim + b"HTTP/1.1 " + status + b" Fine\r\nServer: y\r\n" + rest,
    st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]),
    st.sampled_from([b"200", b"204", b"304", b"404", b"503"]),
    bodies,
)


@st.composite
def http_turns(draw: st.DrawFn) -> list[Turn]:
    """Pipelined requests and as many replies; some read differently than was meant, as with a body behind HEAD."""
    turns: list[Turn] = []
    for _ in range(draw(st.integers(1, 3))):
        asked = draw(st.lists(requests, min_size=1, max_size=3))
        turns.append((CLIENT, b"".join(asked)))
        turns.append((SERVER, b"".join(draw(replies) for _ in asked)))
    return turns


mails = st.lists(
    st.sampled_from([b"Subject: x\r\n", b"\r\n", b"..\r\n", b".x\r\n", b"\n.\n", b"\r", b"text\r\n"]), max_size=8
).map(lambda pieces: b"".join(pieces).replace(b"\r\n.\r\n", b"") + b"\r\n.\r\n")
smtp_lines = st.sampled_from(
    [b"NOOP\r\n", b"RSET\r\n", b"RCPT TO:<b@c>\r\n", b"VRFY x\r\n", b"BDAT 3\r\nabc", b"BDAT 0 LAST\r\n"]
)
codes = st.sampled_from([b"250 ok\r\n", b"250-a\r\n250-b\r\n250 c\r\n", b"550 no\r\n", b"451\r\n"])


@st.composite
def smtp_turns(draw: st.DrawFn) -> list[Turn]:
    """A greeting, then commands, mails and steps of AUTH with as many replies."""
    turns: list[Turn] = [(SERVER, b"220-hello\r\n220 there\r\n")]
    for _ in range(draw(st.integers(1, 4))):
        asked = draw(st.lists(smtp_lines, max_size=4))
        answers = [draw(codes) for _ in asked]
        match draw(st.sampled_from(["", "mail", "auth"])):
            case "mail":
                turns += [(CLIENT, b"".join([*asked, b"DATA\r\n"])), (SERVER, b"".join([*answers, b"354 go\r\n"]))]
                turns += [(CLIENT, draw(mails)), (SERVER, draw(codes))]
            case "auth":
                turns += [(CLIENT, b"".join([*asked, b"AUTH LOGIN\r\n"])), (SERVER, b"".join([*answers, b"334 x\r\n"]))]
                turns += [(CLIENT, b"c2VjcmV0\r\n"), (SERVER, b"235 ok\r\n")]
            case _:
                turns += [(CLIENT, b"".join(asked)), (SERVER, b"".join(answers))]
    return turns


PROTOCOLS = pytest.mark.parametrize(
    ("protocol", "make", "strategy"),
    [
        ("redis", RedisSession, redis_turns()),
        ("http", HttpSession, http_turns()),
        ("smtp", SmtpSession, smtp_turns()),
    ],
    ids=["redis", "http", "smtp"],
)


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=12))})
    return [data[begin:end] for begin, end in pairwise(places)]


def follow(make: type[Session], turns: Iterable[Turn], *, watched: bool) -> tuple[list[object], bytes, bytes, bool]:
    """The exchanges in order and whether each reply ended; the bytes of both sides; whether it turned opaque."""
    session = make()
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


@PROTOCOLS
@settings(max_examples=80)
@given(st.data(), st.booleans())
def test_any_split_gives_the_same_exchanges_and_bytes(
    protocol: str, make: type[Session], strategy: st.SearchStrategy[list[Turn]], data: st.DataObject, watched: bool
) -> None:
    turns = data.draw(strategy)
    whole = follow(make, turns, watched=watched)
    pieces = [(sender, piece) for sender, sent in turns for piece in data.draw(st.composite(cut)(sent))]

    assert follow(make, pieces, watched=watched) == whole
    assert follow(make, [(sender, bytes([one])) for sender, sent in turns for one in sent], watched=watched) == whole
    assert whole[1] == b"".join(sent for sender, sent in turns if sender is CLIENT)
    assert whole[2] == b"".join(sent for sender, sent in turns if sender is SERVER)


@PROTOCOLS
@settings(max_examples=80)
@given(
    st.data(),
    st.lists(st.tuples(st.sampled_from(Sender), st.binary(min_size=1, max_size=50)), min_size=1, max_size=8),
    st.booleans(),
)
def test_garbage_passes_unchanged(
    protocol: str,
    make: type[Session],
    strategy: st.SearchStrategy[list[Turn]],
    data: st.DataObject,
    garbage: list[Turn],
    watched: bool,
) -> None:
    turns = [*(data.draw(strategy) if data.draw(st.booleans()) else []), *garbage]
    _, client, server, _ = follow(make, turns, watched=watched)

    assert client == b"".join(sent for sender, sent in turns if sender is CLIENT)
    assert server == b"".join(sent for sender, sent in turns if sender is SERVER)
