from __future__ import annotations

import gzip

import pytest

from airproof.wire.protocols.http import HttpSession
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Sender

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
GET = b"GET /users/1?full=1 HTTP/1.1\r\nHost: auth\r\nX-Tag: a\r\nX-Tag: b\r\n\r\n"
POST = b"POST /users HTTP/1.1\r\nHost: auth\r\nContent-Length: 7\r\n\r\nann@b.c"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n3\r\nyes\r\n0\r\nX-Sum: 1\r\n\r\n"


def watched_session() -> HttpSession:
    session = HttpSession()
    session.watched = True
    return session


def asked(session: HttpSession, data: bytes) -> list[Exchange]:
    segments = session.receive(CLIENT, data)
    assert b"".join(segment.data for segment in segments) == data
    return [segment.exchange for segment in segments if segment.exchange]


def answered(session: HttpSession, data: bytes) -> list[tuple[int, str | None, bool]]:
    segments = session.receive(SERVER, data)
    assert b"".join(segment.data for segment in segments) == data
    return [(one.exchange.number, one.exchange.outcome, one.last) for one in segments if one.exchange]


def test_a_request_and_its_reply_are_one_exchange_and_the_very_bytes_pass() -> None:
    session = watched_session()

    (first,) = session.receive(CLIENT, GET)
    (second,) = session.receive(SERVER, OK)

    assert first.data is GET
    assert second.data is OK
    assert first.exchange is second.exchange
    assert first.last
    assert second.last
    exchange = first.exchange
    assert exchange is not None
    assert (exchange.number, exchange.event, exchange.outcome) == (1, "request", "200")
    assert exchange.fields == {
        "method": "GET", "path": "/users/1", "query": "full=1", "host": "auth", "header.host": "auth",
        "header.x-tag": "a, b",
    }  # fmt: skip
    assert exchange.content == b"/users/1?full=1\n"


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("GET", OK),
        ("GET", CHUNKS),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK),
        ("GET", b"HTTP/1.0 200\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"),
    ],
)
def test_every_framing_of_a_reply_is_followed_in_any_pieces(method: str, reply: bytes) -> None:
    for size in (1, 2, 3, 7, 1000):
        session = HttpSession()
        asked(session, GET.replace(b"GET", method.encode()) + GET)

        seen = [one for at in range(0, len(reply), size) for one in answered_in_pieces(session, reply[at : at + size])]

        assert [last for _, _, last in seen] == [False] * (len(seen) - 1) + [True]
        assert {number for number, _, _ in seen} == {1}
        assert answered(session, OK) == [(2, "200", True)]
        assert not session.opaque


def answered_in_pieces(session: HttpSession, data: bytes) -> list[tuple[int, str | None, bool]]:
    segments = session.receive(SERVER, data)
    return [(one.exchange.number, one.exchange.outcome, one.last) for one in segments if one.exchange]


def test_the_same_head_is_read_for_each_request_anew() -> None:
    session = HttpSession()
    asked(session, GET.replace(b"GET", b"HEAD") + GET)

    assert answered(session, OK[:-2]) == [(1, "200", True)]
    assert answered(session, OK) == [(2, "200", True)]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/fetch/http://example.com/page?x=1", "/fetch/http://example.com/page"),
        ("http://example.com/page?x=1", "/page"),
        ("http://example.com?x=1", "/"),
    ],
)
def test_the_path_is_what_stands_behind_the_host(target: str, path: str) -> None:
    (exchange,) = asked(watched_session(), f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert exchange.fields["path"] == path


def test_what_the_wire_answered_is_the_outcome() -> None:
    session = watched_session()
    (exchange,) = asked(session, GET)
    session.respond(exchange, {"status": 503})
    assert exchange.outcome == "503"


def test_a_reply_may_end_with_the_connection() -> None:
    session = HttpSession()
    (exchange,) = asked(session, GET)

    assert answered(session, b"HTTP/1.0 200 OK\r\n\r\nsome") == [(1, None, False)]
    assert answered(session, b" more") == [(1, None, False)]
    (end,) = session.finish(SERVER)

    assert (end.data, end.exchange, end.last, exchange.outcome) == (b"", exchange, True, "200")


def test_a_reply_streams() -> None:
    session = watched_session()
    asked(session, GET)
    pieces = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\ndata:\r\n",
    ]

    for piece in pieces:
        (segment,) = session.receive(SERVER, piece)
        assert (segment.data, segment.last) == (piece, False)


def test_a_body_is_searched_without_chunks_and_compression() -> None:
    session = watched_session()
    packed = gzip.compress(b'{"email": "ann@b.c"}')
    half = len(packed) // 2
    body = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (half, packed[:half], len(packed) - half, packed[half:])
    head = b"POST /a%20b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"

    (exchange,) = asked(session, head + body)

    assert exchange.content == b'/a%20b\n/a b\n{"email": "ann@b.c"}'


def test_secrets_in_headers_are_never_shown() -> None:
    session = watched_session()
    secrets = b"Authorization: Bearer s3cret\r\nCookie: id=s3cret\r\nX-Api-Key: s3cret\r\n"

    (exchange,) = asked(session, GET[:-2] + secrets + b"\r\n")

    assert "s3cret" not in repr(exchange)
    assert exchange.fields["header.authorization"] == "[redacted]"


def test_a_watched_request_is_kept_until_it_is_complete() -> None:
    session = watched_session()

    assert session.receive(CLIENT, POST[:-3]) == []
    (segment,) = session.receive(CLIENT, POST[-3:])

    assert (segment.data, segment.last) == (POST, True)
    assert segment.exchange is not None
    assert segment.exchange.content == b"/users\nann@b.c"


def test_a_client_that_waits_for_100_continue_is_not_kept_waiting() -> None:
    session = watched_session()
    head = b"PUT /f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"

    (first,) = session.receive(CLIENT, head)
    interim = session.receive(SERVER, b"HTTP/1.1 100 Continue\r\n\r\n")
    (second,) = session.receive(CLIENT, b"body")

    assert (first.data, first.last, second.last) == (head, False, True)
    assert first.exchange is second.exchange is interim[0].exchange
    assert first.exchange is not None
    assert first.exchange.fields["path"] == "/f"
    assert not interim[0].last
    assert answered(session, OK) == [(1, "200", True)]


def test_a_longer_request_is_matched_by_its_beginning() -> None:
    session = watched_session()
    head = b"POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (REQUEST_LIMIT_BYTES + 1000)

    (first,) = session.receive(CLIENT, head + b"a" * REQUEST_LIMIT_BYTES)
    (second,) = session.receive(CLIENT, b"b" * 1000)

    assert (first.last, second.last) == (False, True)
    assert first.exchange is not None
    assert first.exchange.fields["path"] == "/big"


def test_an_upgrade_and_a_tunnel_are_bytes_afterwards() -> None:
    upgrade = HttpSession()
    asked(upgrade, b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert answered(upgrade, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi") == [
        (1, "101", True)
    ]
    assert upgrade.opaque

    tunnel = HttpSession()
    (exchange,) = asked(tunnel, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n")
    answered(tunnel, b"HTTP/1.1 200 OK\r\n\r\n")
    assert (tunnel.opaque, exchange.outcome) == (True, "200")


def test_a_refused_upgrade_goes_on() -> None:
    session = HttpSession()
    asked(session, b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

    assert answered(session, OK) == [(1, "200", True)]
    assert not session.opaque


@pytest.mark.parametrize(
    "shape",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\nHost: x\n\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    ],
)
def test_what_two_parties_could_read_differently_turns_the_session_opaque(shape: bytes) -> None:
    for watched in (False, True):
        session = HttpSession()
        session.watched = watched

        segments = [one for piece in (shape[:30], shape[30:], b"rest") for one in session.receive(CLIENT, piece)]

        assert session.opaque
        assert b"".join(segment.data for segment in segments) == shape + b"rest"


def test_a_server_that_speaks_unasked_turns_the_session_opaque() -> None:
    session = HttpSession()

    assert answered(session, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") == []
    assert session.opaque


def test_a_broken_line_is_passed_on_before_the_head_ends() -> None:
    session = HttpSession()

    (segment,) = session.receive(CLIENT, b"HELLO\r\n")

    assert segment.data == b"HELLO\r\n"
    assert session.opaque


def test_a_server_may_answer_before_the_request_is_complete() -> None:
    session = HttpSession()
    (exchange,) = asked(session, POST[:-3])

    assert answered(session, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n") == [(1, "413", True)]
    assert asked(session, POST[-3:] + GET)[0] is exchange
    assert answered(session, OK) == [(2, "200", True)]


def test_an_answer_of_the_wire_takes_the_place_of_the_reply() -> None:
    session = watched_session()
    first, second = asked(session, GET + GET)

    reply = session.respond(second, {"status": 503, "body": "later", "content_type": "text/x", "retry_after": 3})

    assert reply == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/x\r\nContent-Length: 5\r\nRetry-After: 3\r\n\r\nlater"
    )
    assert answered(session, OK) == [(1, "200", True)]
    assert session.respond(first, {"status": 204}) == b"HTTP/1.1 204 No Content\r\n\r\n"
    asked(session, GET)
    assert answered(session, OK) == [(3, "200", True)]


def test_an_answer_fits_the_request() -> None:
    session = watched_session()
    head, closing, upgrade = asked(
        session,
        GET.replace(b"GET", b"HEAD")
        + GET.replace(b"X-Tag: a", b"Connection: close")
        + b"GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    )

    reply = session.respond(head, {"status": 500, "body": "abc"})
    assert reply is not None
    assert reply.endswith(b"Content-Length: 3\r\n\r\n")
    assert b"Connection: close\r\n" in (session.respond(closing, {}) or b"")
    assert session.respond(upgrade, {}) is None
    assert session.respond(asked(session, POST[:-1] + b"x")[0], {"status": 100}) is None


def test_line_breaks_in_an_answer_do_not_make_headers() -> None:
    session = watched_session()

    reply = session.respond(asked(session, GET)[0], {"x_a": "1\r\nEvil: 2"})

    assert reply is not None
    assert b"X-A: 1 Evil: 2\r\n" in reply


def test_a_repeated_request_expects_one_reply_more_that_is_marked() -> None:
    session = watched_session()
    first, _ = asked(session, POST + GET)

    assert session.repeat(first, POST) == POST
    segments = session.receive(SERVER, OK * 3)

    events = [segment.exchange.event for segment in segments if segment.exchange]
    assert events == ["request", "repeated", "request"]


def test_a_request_that_ends_the_connection_is_not_repeated() -> None:
    for request in (GET.replace(b"X-Tag: a", b"Connection: close"), GET.replace(b"1.1", b"1.0")):
        session = watched_session()
        (exchange,) = asked(session, request)
        assert session.repeat(exchange, request) is None
