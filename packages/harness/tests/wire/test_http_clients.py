"""Real clients and servers of HTTP with a wire between them."""

from __future__ import annotations

import gzip
import http.client
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from airproof.waiting import wait_until
from airproof.wire import Wire, on
from airproof.wire import http as http_messages

HERE = on("client", "server")
REQUESTS = 20


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, framed as the path says."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(length)
        body = body or b"hello"
        match self.path.partition("?")[0]:
            case "/chunked":
                self._head(("Transfer-Encoding", "chunked"))
                for at in range(0, len(body), 10_000):
                    piece = body[at : at + 10_000]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            case "/until-close":
                self._head(("Connection", "close"))
                self.wfile.write(body)
                self.close_connection = True
            case "/empty":
                self.send_response(204)
                self.end_headers()
            case _:
                self._head(("Content-Length", str(len(body))))
                if self.command != "HEAD":
                    self.wfile.write(body)

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - the server looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _head(self, header: tuple[str, str]) -> None:
        self.send_response(200)
        self.send_header(*header)
        self.end_headers()

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


@pytest.fixture
def echo() -> Iterator[int]:
    Echo.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join(10)


@pytest.fixture(params=[False, True], ids=["unwatched", "recorded"])
def port(request: pytest.FixtureRequest, wire: Wire, echo: int, open_link: Callable[..., int]) -> int:
    port = open_link(echo, protocol="http")
    wire.record(on=request.param)
    return port


def exchanges(wire: Wire) -> list[tuple[str, str, str]]:
    events = [event for event in wire.events() if event["kind"] == "exchange"]
    return [(event["fields"]["method"], event["fields"]["path"], event["outcome"]) for event in events]


def test_one_connection_carries_every_kind_of_exchange(port: int, wire: Wire) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    asked = [
        ("GET", "/", None), ("HEAD", "/", None), ("POST", "/chunked?a=b", b"x" * 100_000), ("GET", "/empty", None),
        ("PUT", "/", (piece for piece in (b"one", b"two"))), ("GET", "/until-close", None),
    ]  # fmt: skip
    replies = []
    for method, path, body in asked:
        client.request(method, path, body, encode_chunked=True)
        replies.append(client.getresponse().read())
    client.close()

    assert replies == [b"hello", b"", b"x" * 100_000, b"", b"onetwo", b"hello"]
    if wire.links()[0]["recording"]:
        wait_until(lambda: len(exchanges(wire)) == len(asked), timeout_s=5, describe="the last exchange")
        statuses = ["200", "200", "200", "204", "200", "200"]
        assert exchanges(wire) == [
            (method, path.partition("?")[0], status) for (method, path, _), status in zip(asked, statuses, strict=True)
        ]


def test_httpx_pools_connections_through_the_wire(port: int) -> None:
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client, ThreadPoolExecutor(4) as pool:
        replies = list(
            pool.map(lambda number: client.post("/chunked", json={"n": number}).json()["n"], range(REQUESTS))
        )

    assert replies == list(range(REQUESTS))


def test_curl_sends_a_large_file_after_100_continue(port: int, tmp_path: Path) -> None:
    curl = shutil.which("curl") or pytest.skip("no curl here")
    (tmp_path / "file").write_bytes(b"z" * 3_000_000)
    command = [curl, "-sS", "-T", str(tmp_path / "file"), "-H", "Expect: 100-continue", f"http://127.0.0.1:{port}/"]

    done = subprocess.run([*command, "--max-time", "20"], capture_output=True, timeout=30, check=True)

    assert done.stdout == b"z" * 3_000_000


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * REQUESTS)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        replies = client.makefile("rb").read()

    assert replies.count(b"\r\n\r\nhello") == REQUESTS + 1


def test_what_is_no_http_reaches_the_server_and_its_complaint_the_client(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        assert b"400" in client.recv(1000)


def test_websockets_go_on_as_bytes(wire: Wire, open_link: Callable[..., int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = open_link(listener.getsockname()[1], protocol="http")
        wire.record()
        wait_until(lambda: wire.links()[0]["listening"], timeout_s=5, describe="the link")
        listener.accept()[0].close()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            server, _ = listener.accept()
            with server:
                server.recv(1000)
                server.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
                assert wait_until(lambda: client.recv(1000), timeout_s=5, describe="bytes").endswith(b"hi")
                client.sendall(b"\x81\x02ho")
                assert server.recv(1000) == b"\x81\x02ho"


def test_a_request_is_answered_before_it_reaches_the_server(
    wire: Wire, echo: int, open_link: Callable[..., int]
) -> None:
    client = http.client.HTTPConnection("127.0.0.1", open_link(echo, protocol="http"), timeout=10)
    body = gzip.compress(b'{"id": "4711"}')
    rule = HERE.when(http_messages.request(method="POST", containing="4711")).times(1)
    with wire.apply(rule.respond(status=503, body="later", retry_after=1)):
        client.request("POST", "/a", body, {"Content-Encoding": "gzip"})
        reply = client.getresponse()
        assert (reply.status, reply.headers["Retry-After"], reply.read()) == (503, "1", b"later")
        client.request("GET", "/b")
        assert client.getresponse().read() == b"hello"
    client.close()

    assert Echo.seen == ["/b"]


def test_a_request_is_answered_after_the_server_did_the_work(
    wire: Wire, echo: int, open_link: Callable[..., int]
) -> None:
    client = http.client.HTTPConnection("127.0.0.1", open_link(echo, protocol="http"), timeout=10)
    with wire.apply(HERE.when(http_messages.request(path="/chunked")).after("200").respond(status=504)):
        client.request("POST", "/chunked", b"x" * 50_000)
        reply = client.getresponse()
        assert (reply.status, reply.read()) == (504, b"")
        client.request("GET", "/b")
        assert client.getresponse().status == 200
    client.close()

    assert Echo.seen == ["/chunked", "/b"]


def test_a_request_is_served_twice_and_answered_once(wire: Wire, echo: int, open_link: Callable[..., int]) -> None:
    client = http.client.HTTPConnection("127.0.0.1", open_link(echo, protocol="http"), timeout=10)
    with wire.apply(HERE.when(http_messages.request(method="POST")).duplicate()):
        client.request("POST", "/a", b"one")
        assert client.getresponse().read() == b"one"
        client.request("GET", "/b")
        assert client.getresponse().read() == b"hello"
    client.close()

    assert Echo.seen == ["/a", "/a", "/b"]


def test_uvicorn_streams_through_the_wire(wire: Wire, open_link: Callable[..., int]) -> None:
    uvicorn = pytest.importorskip("uvicorn")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"data: x\n\n" * 100, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", lifespan="off"))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            port = open_link(listener.getsockname()[1], protocol="http")
            wire.record()
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            client.request("GET", "/stream")
            assert len(client.getresponse().read()) == 50 * 900
            client.close()
        finally:
            server.should_exit = True
            thread.join(10)
    assert exchanges(wire) == [("GET", "/stream", "200")]
