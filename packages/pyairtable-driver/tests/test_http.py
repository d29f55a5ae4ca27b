from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof_pyairtable.http import Http
from airproof_pyairtable.manifest import GATEWAY


def test_an_unfinished_request_is_begun_over_each_connection() -> None:
    body = {"text": "x" * 100}

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(2) as gateway:
        said = [gateway.submit(_asked_on, server) for _ in range(2)]
        node = Node(GATEWAY, Role.SERVICE, Endpoint(*server.getsockname()))
        http = Http(CellDescription("c", (node,), secrets={"admin_key": "k"}))
        with http.unfinished("POST", GATEWAY, "/things?x=1", 2, json=body, headers={"X-Mine": "1"}):
            heard = [one.result() for one in said]
        http.close()

    for head, begun in heard:
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == "post /things?x=1 http/1.1"
        assert "x-mine: 1" in lines
        assert begun
        assert json.dumps(body, separators=(",", ":")).encode().startswith(begun)
        assert int(next(line for line in lines if line.startswith("content-length")).partition(" ")[2]) > len(begun)


def _asked_on(server: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what comes of its body when that is asked for."""
    connection, _ = server.accept()
    with connection:
        head = connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head, connection.recv(65_536)
