"""Rules on exchanges of real protocols, whose two ends are in the test's hands."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airproof.wire import Wire, http, matching, on, passing, postgres, redis

Ends = tuple[socket.socket, socket.socket]
Connect = Callable[[str], Ends]
HERE = on("client", "server")
STARTUP = struct.pack("!II", 23, 196608) + b"user\0postgres\0\0"
WELCOME = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\5I"


@pytest.fixture
def connected(wire: Wire, open_link: Callable[..., int]) -> Iterator[Connect]:
    """Both ends of a new connection through a link of a protocol."""
    with ExitStack() as sockets:

        def connect(protocol: str) -> Ends:
            listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(10)
            port = open_link(listener.getsockname()[1], protocol, protocol)
            listener.accept()[0].close()  # the wire asks whether somebody is there
            client = sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            server = sockets.enter_context(listener.accept()[0])
            server.settimeout(10)
            return client, server

        yield connect


def passes(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    """Sends it and sees it arrive."""
    sender.sendall(data)
    assert receive(receiver, len(data)) == data


def receive(receiver: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size and (piece := receiver.recv(size - len(received))):
        received += piece
    return received


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def begin_session(client: socket.socket, server: socket.socket) -> None:
    passes(client, server, STARTUP)
    passes(server, client, WELCOME)


def test_a_reply_that_never_came_is_not_lost(wire: Wire, connected: Connect) -> None:
    client, server = connected("postgres")
    begin_session(client, server)
    with wire.apply(HERE.when(postgres.query()).lose_reply().preventable()) as rule:
        passes(client, server, query("INSERT INTO items VALUES (1)"))
        server.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert (rule.fired, rule.evidence()) == (0, [])


def test_a_simple_reply_of_redis_that_says_nothing_has_come(wire: Wire, connected: Connect) -> None:
    client, server = connected("redis")
    with wire.apply(HERE.when(redis.command("EVAL")).after("simple").observe()) as rule:
        passes(client, server, b"*1\r\n$4\r\nEVAL\r\n")
        passes(server, client, b"+\r\n")
        assert rule.fired == 1


def test_a_changed_password_is_not_shown(wire: Wire, connected: Connect) -> None:
    client, server = connected("redis")
    sent = b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"
    with wire.apply(HERE.when(redis.command("AUTH")).corrupt(find=b"secret", replacement=b"Secret")) as rule:
        client.sendall(sent)
        assert receive(server, len(sent)) == sent.replace(b"secret", b"Secret")
        assert [(one["data"], one["became"]) for one in rule.evidence()] == [("", "")]


def test_of_a_changed_message_the_beginning_is_kept(
    wire: Wire, running: Any, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = connected("http")
    sent = b"GET /" + b"x" * 5000 + b"y HTTP/1.1\r\nHost: a\r\n\r\n"
    kept: list[Any] = []
    with wire.apply(HERE.when(http.request()).corrupt(find=b"y", replacement=b"z").preventable()):
        monkeypatch.setattr(running.service.journal, "happened", lambda *_, **facts: kept.append(facts))
        client.sendall(sent)
        assert receive(server, len(sent)) == sent.replace(b"y", b"z")
    assert [len(facts["became"]) for facts in kept if "became" in facts] == [256]


def test_a_copy_begins_though_a_rule_waits_for_its_reply(wire: Wire, connected: Connect) -> None:
    client, server = connected("postgres")
    begin_session(client, server)
    with wire.apply(HERE.when(matching("postgres", "copy")).after("COPY*").hold()) as hold:
        passes(client, server, query("COPY items FROM STDIN"))
        passes(server, client, message(b"G", bytes(3)))
        passes(client, server, message(b"d", b"1\n") + message(b"c"))
        server.sendall(message(b"C", b"COPY 1\0"))
        server.sendall(message(b"Z", b"I"))
        hold.wait_until_held(5)
        hold.release()
        done = message(b"C", b"COPY 1\0") + message(b"Z", b"I")
        assert receive(client, len(done)) == done


def test_a_password_is_asked_for_though_a_rule_waits_for_the_reply_and_is_not_shown(
    wire: Wire, connected: Connect, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = connected("postgres")
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(running.service.journal, "happened", lambda *_, **facts: kept.append(facts))
    seen = HERE.when(matching("")).after().delay(0.01).preventable(), HERE.when(passing(sender="client")).delay(0.01)
    with wire.apply(seen[0]), wire.apply(seen[1].preventable()):
        passes(client, server, STARTUP)
        passes(server, client, message(b"R", struct.pack("!I", 3)))
        passes(client, server, message(b"p", b"hunter2pw\0"))
        passes(server, client, WELCOME)
    assert kept
    assert not any(b"hunter2" in facts.get("data", b"") for facts in kept)


def test_a_request_without_a_reply_leaves_nothing_that_waits_for_one(
    wire: Wire, connected: Connect, running: Any
) -> None:
    client, server = connected("redis")
    with wire.apply(HERE.when(redis.command("SET")).after().observe().preventable()):
        passes(client, server, b"CLIENT REPLY OFF\r\nSET x 1\r\nSET x 2\r\n")
        (link,) = running.service.links.values()
        (connection,) = link.connections.values()
        assert not connection.after


def test_a_request_without_a_reply_keeps_nobody_waiting(wire: Wire, connected: Connect) -> None:
    client, server = connected("redis")
    first, skipped, last = b"GET a\r\n", b"CLIENT REPLY SKIP\r\nSET x 1\r\n", b"GET b\r\n"
    with wire.apply(HERE.when(redis.command("GET", key="b")).respond(error="LOADING wait")) as rule:
        client.sendall(first + skipped + last)
        assert receive(server, len(first + skipped)) == first + skipped
        rule.wait_until_fired(5)
        passes(server, client, b"$1\r\nA\r\n")
        assert receive(client, 15) == b"-LOADING wait\r\n"


def test_what_a_flush_asked_for_is_not_kept_for_a_rule(wire: Wire, connected: Connect) -> None:
    client, server = connected("postgres")
    begin_session(client, server)
    with wire.apply(HERE.when(matching("postgres")).after().observe()) as rule:
        passes(client, server, message(b"P", b"\0SELECT 1\0\0\0") + message(b"H"))
        passes(server, client, message(b"1"))
        passes(client, server, message(b"S"))
        passes(server, client, message(b"Z", b"I"))
        assert rule.fired == 1


def test_a_client_that_waits_for_100_continue_gets_it(wire: Wire, connected: Connect) -> None:
    client, server = connected("http")
    with wire.apply(HERE.when(http.request()).after("200").observe()) as rule:
        passes(client, server, b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        passes(server, client, b"HTTP/1.1 100 Continue\r\n\r\n")
        passes(client, server, b"ok")
        passes(server, client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert rule.fired == 1


def test_what_was_kept_of_a_reply_goes_on_when_its_rule_is_removed(wire: Wire, connected: Connect) -> None:
    client, server = connected("http")
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno"
    with wire.apply(HERE.when(http.request()).after().observe().preventable()):
        with wire.apply(HERE.when(http.request()).after().lose_reply().preventable()):
            passes(client, server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            server.sendall(beginning)
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)
        with pytest.raises(TimeoutError):
            client.recv(1)
    client.settimeout(10)
    assert receive(client, len(beginning)) == beginning
    passes(server, client, b"te")


def test_an_answer_of_the_wire_keeps_its_place_behind_a_repetition(wire: Wire, connected: Connect) -> None:
    client, server = connected("postgres")
    begin_session(client, server)
    first, second, third = (query(f"SELECT '{name}'") for name in ("first", "second", "third"))
    done, other = (message(b"C", tag + b"\0") + message(b"Z", b"I") for tag in (b"SELECT 1", b"SELECT 2"))
    twice = HERE.when(postgres.query(containing="first")).duplicate()
    with wire.apply(twice), wire.apply(HERE.when(postgres.query(containing="third")).respond(sqlstate="40001")) as rule:
        client.sendall(first + second + third)
        assert receive(server, len(first + first + second)) == first + first + second
        rule.wait_until_fired(5)
        server.sendall(done + done)
        assert receive(client, len(done)) == done
        server.sendall(other)
        assert receive(client, len(other)) == other
        assert client.recv(1) == b"E"


def test_reordered_requests_without_replies_wait_for_each_other_only(wire: Wire, open_link: Callable[..., int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as sockets:
        listener.settimeout(10)
        port = open_link(listener.getsockname()[1], "redis", "redis")
        listener.accept()[0].close()
        ends = []
        for _ in range(2):
            client = sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            server = sockets.enter_context(listener.accept()[0])
            server.settimeout(10)
            passes(client, server, b"CLIENT REPLY OFF\r\n")
            ends.append((client, server))
        (first, at_first), (second, at_second) = ends
        with wire.apply(HERE.when(redis.command("SET")).times(2).reorder(timeout_s=60)):
            first.sendall(b"SET x 1\r\n")
            passes(second, at_second, b"SET x 2\r\n")
            assert receive(at_first, 9) == b"SET x 1\r\n"
