"""Rules that hit the connections that are there at once, seen from both ends of real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airproof.errors import FaultUnsupported
from airproof.waiting import wait_until
from airproof.wire import Wire, established, matching, on

Connect = Callable[..., Any]
Pair = tuple[socket.socket, socket.socket]
HERE = on("client", "server")
MEGABYTE = 1024 * 1024
RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"


@pytest.fixture
def pair(wire: Wire, open_link: Connect) -> Iterator[Pair]:
    """Both ends of a connection of lines through the wire, after one exchange."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = open_link(listener.getsockname()[1])
        listener.accept()[0].close()  # the wire asks whether somebody is there
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client, listener.accept()[0] as server:
            server.settimeout(10)
            client.sendall(b"a\n")
            assert server.recv(100) == b"a\n"
            server.sendall(b"OK\n")
            assert client.recv(100) == b"OK\n"
            yield client, server


def hears_nothing(sock: socket.socket, for_s: float = 0.1) -> bool:
    sock.settimeout(for_s)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)
    return False


def test_idle_connections_are_reset_at_once_and_new_ones_are_not(wire: Wire, pair: Pair, connect: Connect) -> None:
    with wire.apply(HERE.when(established()).reset()) as rule:
        for end in pair:
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert rule.fired == 1
        (evidence,) = rule.evidence()
        assert (evidence["action"], evidence["event"], evidence["connection"]) == ("reset", "established", 1)


def test_a_new_connection_is_not_hit(wire: Wire, connect: Connect) -> None:
    with wire.apply(HERE.when(established()).reset().preventable()) as rule:
        client = connect()
        assert client.ask("a") == "OK a"
        assert rule.fired == 0


def test_so_many_connections_are_hit_as_the_rule_says(wire: Wire, connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    assert [client.ask("a") for client in clients] == ["OK a"] * 3
    with wire.apply(HERE.when(established()).times(2).reset()) as rule:
        wait_until(lambda: wire.links()[0]["connections"] == 1, timeout_s=5, describe="two to be reset")
        assert rule.fired == 2


def test_a_reply_whose_request_had_passed_vanishes_too(wire: Wire, pair: Pair) -> None:
    client, server = pair
    client.sendall(b"PUT 1\n")
    assert server.recv(100) == b"PUT 1\n"
    with wire.apply(HERE.when(established()).cut()) as rule:
        server.sendall(b"OK PUT 1\n")
        assert hears_nothing(client)
        at, lost = rule.evidence()
        assert (at["event"], at["size"]) == ("established", 0)
        assert (lost["event"], lost["outcome"], lost["size"]) == ("PUT", "OK", 9)
        client.sendall(b"PUT 2\n")
        assert hears_nothing(server)
        assert [one["event"] for one in rule.evidence()] == ["established", "PUT", "PUT"]
    for end in pair:
        with pytest.raises(ConnectionResetError):
            end.recv(1)


@pytest.mark.parametrize("ends", ["with a reset", "in good order"])
@pytest.mark.parametrize("who", [0, 1])
def test_nobody_learns_of_an_end_behind_a_cut(who: int, ends: str, wire: Wire, pair: Pair) -> None:
    leaving, staying = pair[who], pair[1 - who]
    with wire.apply(HERE.when(established()).cut()):
        if ends == "with a reset":
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        leaving.close()
        assert hears_nothing(staying)
    with pytest.raises(ConnectionResetError):
        staying.recv(1)
    wait_until(lambda: wire.links()[0]["connections"] == 0, timeout_s=5, describe="the end")


def test_one_direction_may_be_cut_alone(wire: Wire, pair: Pair) -> None:
    client, server = pair
    with wire.apply(HERE.when(established()).cut("server->client")):
        client.sendall(b"PUT 1\n")
        assert server.recv(100) == b"PUT 1\n"
        server.sendall(b"OK PUT 1\n")
        assert hears_nothing(client)


def test_what_waits_in_the_wire_for_a_slow_reader_vanishes(wire: Wire, pair: Pair) -> None:
    client, server = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = flood(client)
    with wire.apply(HERE.when(established()).cut()):
        received = 0
        while not hears_nothing(server):
            received += 1 + len(server.recv(MEGABYTE))
    assert received < sent


def flood(sock: socket.socket) -> int:
    """Sends lines until nobody takes more; how many bytes."""
    sock.settimeout(0.5)
    sent = 0
    try:
        while True:
            sent += sock.send(b"x" * 65535 + b"\n")
    except TimeoutError:
        return sent


def test_a_message_that_is_held_when_the_cut_comes_never_arrives(wire: Wire, pair: Pair) -> None:
    client, server = pair
    with wire.apply(HERE.when(matching("lines", "PUT")).hold()) as hold:
        client.sendall(b"PUT 1\n")
        hold.wait_until_held(5)
        with wire.apply(HERE.when(established()).cut()):
            hold.release()
            assert hears_nothing(server)


def test_what_cannot_be_done_to_a_connection_is_refused() -> None:
    with pytest.raises(FaultUnsupported, match="possible there: cut, observe, reset"):
        HERE.when(established()).delay(1)
