"""Links: connections as they are without a wire, refused ones too, and clients of every kind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from airproof.waiting import wait_until
from airproof.wire import Wire, matching, on, opened, passing
from airproof.wire.process import allow_many_files

Connect = Callable[..., Any]
HERE = on("client", "server")
MEGABYTE = 1024 * 1024


@pytest.fixture
def plain_server() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts a server that treats each connection with a function; gives its port."""
    with ExitStack() as ends:

        def start(treat: Callable[[socket.socket], None]) -> int:
            listener = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
            ends.callback(listener.shutdown, socket.SHUT_RDWR)

            def tolerant(sock: socket.socket) -> None:
                with sock, suppress(ConnectionError):
                    treat(sock)

            def run() -> None:
                while True:
                    try:
                        sock, _ = listener.accept()
                    except OSError:
                        return
                    threading.Thread(target=tolerant, args=(sock,), daemon=True).start()

            threading.Thread(target=run, daemon=True).start()
            return int(listener.getsockname()[1])

        yield start


def opaque(wire: Wire, open_link: Callable[..., int], upstream: int) -> int:
    return open_link(upstream, "raw", "opaque")


def test_nobody_listens_while_the_upstream_is_dead(open_link: Connect, serve: Connect, connect: Connect) -> None:
    server = serve()
    port = open_link(server.port)
    assert connect(port).ask("a") == "OK a"
    server.close()

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # accepted while the upstream was dying
            pass
        return False

    wait_until(refused, timeout_s=5, describe="the link to refuse")
    again = serve(server.port)
    wait_until(lambda: not refused(), timeout_s=5, describe="the link to listen")
    assert connect(port).ask("b") == "OK b"
    assert again.lines == ["b"]


def test_a_link_to_a_dead_upstream_refuses_from_the_start(wire: Wire, open_link: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()[1]
    port = open_link(dead)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert wire.links()[0]["listening"] is False


def test_a_half_close_passes_and_the_other_direction_stays_open(
    wire: Wire, open_link: Connect, plain_server: Connect
) -> None:
    def count(sock: socket.socket) -> None:
        size = 0
        while data := sock.recv(65536):
            size += len(data)
        sock.sendall(str(size).encode())

    with socket.create_connection(("127.0.0.1", opaque(wire, open_link, plain_server(count))), timeout=10) as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"100000"
        assert client.recv(100) == b""


def test_a_reset_of_the_server_is_a_reset_for_the_client(wire: Wire, open_link: Connect, plain_server: Connect) -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    with socket.create_connection(("127.0.0.1", opaque(wire, open_link, plain_server(reset))), timeout=10) as client:
        client.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_reset_of_the_client_is_a_reset_for_the_server(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    assert client.ask("a") == "OK a"
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    wait_until(lambda: server.resets == 1, timeout_s=5, describe="the server to be reset")
    assert wire.links()[0]["connections"] == 0


def test_a_client_that_arrives_as_its_link_closes_is_reset(running: Any, port: int) -> None:
    (link,) = running.service.links.values()

    def arrive_and_close() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port))
        link._accept()
        link.close()
        return client

    with running.run(arrive_and_close) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


def test_much_passes_unchanged_both_ways(wire: Wire, open_link: Connect, plain_server: Connect) -> None:
    def echo(sock: socket.socket) -> None:
        while data := sock.recv(65536):
            sock.sendall(data)

    sent = os.urandom(8 * MEGABYTE)
    with socket.create_connection(("127.0.0.1", opaque(wire, open_link, plain_server(echo))), timeout=20) as client:
        writer = threading.Thread(target=client.sendall, args=(sent,))
        writer.start()
        received = bytearray()
        while len(received) < len(sent):
            received += client.recv(65536)
        writer.join()
    assert received == sent


def test_a_client_that_never_reads_makes_the_server_wait(wire: Wire, open_link: Connect, plain_server: Connect) -> None:
    sent = [0]
    stuck = threading.Event()

    def flood(sock: socket.socket) -> None:
        sock.settimeout(0.5)
        try:
            while sent[0] < 200 * MEGABYTE:
                sent[0] += sock.send(b"x" * 65536)
        except TimeoutError:
            stuck.set()

    with socket.create_connection(("127.0.0.1", opaque(wire, open_link, plain_server(flood))), timeout=20):
        assert stuck.wait(20)
    assert sent[0] < 50 * MEGABYTE


def test_what_waits_behind_a_hold_is_bounded(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(HERE.when(matching("lines", "PUT")).nth(1).hold()) as hold:
        client.send("PUT")
        hold.wait_until_held(5)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.socket.sendall(b"x\n" * (25 * MEGABYTE))


def test_a_thousand_connections_at_once(wire: Wire, port: int, connect: Connect) -> None:
    allow_many_files()
    clients = [connect(port) for _ in range(1000)]
    for number, client in enumerate(clients):
        client.send(str(number))
    assert [client.read() for client in clients] == [f"OK {number}" for number in range(1000)]
    assert wire.links()[0]["connections"] == 1000
    for client in clients:
        client.close()
    wait_until(lambda: wire.links()[0]["connections"] == 0, timeout_s=10, describe="all connections to end")


@pytest.mark.parametrize("protocol", ["http", "postgres", "kafka", "redis", "smtp"])
def test_garbage_passes_or_ends_the_connection_and_the_wire_goes_on(
    protocol: str, wire: Wire, open_link: Connect, plain_server: Connect
) -> None:
    def garble(sock: socket.socket) -> None:
        sock.sendall(os.urandom(5000))
        while sock.recv(65536):
            pass

    port = open_link(plain_server(garble), "garbage", protocol)
    for _ in range(20):
        # It may be reset, and not even connected any more.
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(os.urandom(5000))
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert wire.health()["links"] == 1
    wait_until(lambda: wire.links()[0]["connections"] == 0, timeout_s=10, describe="all connections to end")


@pytest.mark.parametrize("looked_at", ["for rules", "as recorded", "in hindsight"])
@pytest.mark.parametrize("line", ["RAISE", "RAISE-LATER", "RAISE-TOLD"])
def test_a_defect_of_a_session_resets_its_connection_and_no_other(
    line: str, looked_at: str, wire: Wire, connect: Connect, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client, other = connect(), connect()
    assert (client.ask("a"), other.ask("b")) == ("OK a", "OK b")
    after = wire.cursor()
    with ExitStack() as rules:
        if looked_at == "as recorded":
            wire.record()
        if looked_at == "for rules" or line == "RAISE-TOLD":
            rules.enter_context(wire.apply(HERE.when(matching("lines", "RAISE-TOLD")).respond(line="x").preventable()))
        client.send(line)
        if looked_at == "in hindsight" and line != "RAISE-TOLD":
            assert client.read() == f"OK {line}"
            wire.record()
        with pytest.raises(ConnectionResetError):
            list(iter(client.read, ""))
        assert other.ask("c") == "OK c"
    (event,) = [one for one in wire.events(after) if one["kind"] == "broken"]
    assert event["why"].startswith("the wire failed: AssertionError at conftest.py:")
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["link link, connection 1"]
    wait_until(lambda: server.resets == 1, timeout_s=5, describe="the server to be reset")
    assert wire.links()[0]["connections"] == 1


def test_a_rule_that_comes_in_the_middle_of_a_message_sends_nothing_twice(
    wire: Wire, connect: Connect, server: Any
) -> None:
    client = connect()
    client.socket.sendall(b"PU")
    wait_until(lambda: wire.links()[0]["connections"] == 1, timeout_s=5, describe="the connection")
    with wire.apply(HERE.when(matching("lines", "PUT")).hold().preventable()) as hold:
        client.socket.sendall(b"T 1\n")
        assert client.read() == "OK PUT 1"
        client.send("PUT 2")
        hold.wait_until_held(5)
        assert server.lines == ["PUT 1"]
    assert client.read() == "OK PUT 2"
    client.socket.sendall(b"GE")
    assert client.ask("T 3") == "OK GET 3"


def test_a_connection_can_be_refused_and_the_next_one_not(wire: Wire, port: int, connect: Connect) -> None:
    with wire.apply(HERE.when(opened()).nth(1).refuse()) as rule:
        with pytest.raises(ConnectionResetError):
            connect(port).read()
        assert connect(port).ask("a") == "OK a"
        assert rule.fired == 1


def test_a_connection_can_be_accepted_and_never_answered(wire: Wire, port: int, connect: Connect, server: Any) -> None:
    with wire.apply(HERE.when(opened()).silence()) as rule:
        client = connect(port)
        client.send("a")
        rule.wait_until_fired(5)
        assert client.has_nothing_to_read()
        assert server.lines == []
    with pytest.raises(ConnectionResetError):
        client.read()


def test_a_rule_that_was_removed_while_another_kept_the_connection_does_nothing(
    wire: Wire, port: int, connect: Connect
) -> None:
    with wire.apply(HERE.when(opened()).hold()) as hold:
        with wire.apply(HERE.when(opened()).silence().preventable()):
            client = connect(port)
            hold.wait_until_held(5)
        hold.release()
        assert client.ask("a") == "OK a"


def test_bytes_of_an_opaque_link_can_be_changed(wire: Wire, open_link: Connect, server: Any, connect: Connect) -> None:
    client = connect(opaque(wire, open_link, server.port))
    with wire.apply(HERE.when(passing(sender="client", containing="cat")).corrupt(find=b"cat", replacement=b"dog")):
        assert client.ask("a cat") == "OK a dog"


def test_a_client_that_dies_while_its_request_is_held_does_not_take_it_back(
    wire: Wire, connect: Connect, server: Any
) -> None:
    client = connect()
    with wire.apply(HERE.when(matching("lines", "COMMIT")).hold()) as hold:
        client.send("COMMIT")
        hold.wait_until_held(5)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert wire.links()[0]["connections"] == 1
        hold.release()
        wait_until(lambda: wire.links()[0]["connections"] == 0, timeout_s=5, describe="the end")
    wait_until(lambda: server.resets + server.lines.count("COMMIT"), timeout_s=5, describe="the server to see either")


def test_everything_that_passes_can_be_recorded(wire: Wire, connect: Connect) -> None:
    client = connect()
    client.ask("before")
    wire.record("link")
    after = wire.cursor()
    client.ask("PUT 42")
    (event,) = wire.events(after, wait_s=5)
    assert (event["kind"], event["event"], event["outcome"], event["link"]) == ("exchange", "PUT", "OK", "link")
    assert event["fields"] == {"words": 2, "last": "42"}
    assert event["requested_at"] <= event["replied_at"]
    wire.record("*", on=False)
    client.ask("after")
    assert wire.events(event["number"]) == []
