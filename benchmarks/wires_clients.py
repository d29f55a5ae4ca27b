"""Raw-socket clients: as many requests as go, and requests at intended times."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from airproof.environment.topology import Endpoint
from airproof.providers.native.postgres import SUPERUSER

TIMEOUT_S = 10.0
_PR_SET_TIMERSLACK = 29

PING = b"*1\r\n$4\r\nPING\r\n"
"""A request of Redis."""


@contextmanager
def connected(endpoint: Endpoint) -> Iterator[socket.socket]:
    """A connection without Nagle's delay."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes.

    Raises:
        ConnectionError: the connection ends before.
    """
    pieces = []
    while size:
        piece = sock.recv(size)
        if not piece:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def closed_rate(endpoint: Endpoint, request: bytes, connections: int, duration_s: float) -> float:
    """Requests a second of a closed loop, one outstanding in each connection; every reply is as long as the first."""
    with ExitStack() as stack:
        socks = [stack.enter_context(connected(endpoint)) for _ in range(connections)]
        socks[0].sendall(request)
        size = len(socks[0].recv(65536))
        poll = select.epoll()
        left = {sock.fileno(): size for sock in socks}
        by_file = {sock.fileno(): sock for sock in socks}
        for sock in socks:
            poll.register(sock, select.EPOLLIN)
            sock.sendall(request)
        done, began = 0, time.perf_counter()
        while (now := time.perf_counter()) - began < duration_s:
            for file, _ in poll.poll(1.0):
                left[file] -= len(by_file[file].recv(65536))
                if not left[file]:
                    done += 1
                    left[file] = size
                    by_file[file].sendall(request)
        return done / (now - began)


def paced_latencies(sock: socket.socket, request: bytes, rate: int, duration_s: float) -> list[float]:
    """Seconds from the intended start of each request to the end of its reply, sorted.

    The starts are `1 / rate` apart whatever the replies do, so a stall counts for all that should have started in it.
    Every reply is as long as the first.
    """
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    sock.sendall(request)
    size = len(sock.recv(65536))
    waiting = select.epoll()
    latencies = []
    began = time.perf_counter() + 0.01
    for number in range(int(rate * duration_s)):
        intended = began + number / rate
        while (left := intended - time.perf_counter()) > 0.0011:
            waiting.poll(left - 0.0011)
        while time.perf_counter() < intended:
            select.select((), (), (), max(0.0, intended - time.perf_counter()))
        sock.sendall(request)
        receive(sock, size)
        latencies.append(time.perf_counter() - intended)
    return sorted(latencies)


def open_postgres(sock: socket.socket) -> bytes:
    """Starts a session, prepares a SELECT, and returns the request that executes it once."""
    parameters = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
    sock.sendall(struct.pack("!II", len(parameters) + 8, 3 << 16) + parameters)
    _until_ready(sock)
    parse = b"s\0SELECT abalance FROM pgbench_accounts WHERE aid = $1\0" + struct.pack("!HI", 1, 23)
    sock.sendall(_message(b"P", parse) + _message(b"S"))
    _until_ready(sock)
    bind = b"\0s\0" + struct.pack("!HHI2sH", 0, 1, 2, b"42", 0)
    return _message(b"B", bind) + _message(b"E", b"\0" + struct.pack("!I", 0)) + _message(b"S")


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _until_ready(sock: socket.socket) -> None:
    while True:
        kind, size = struct.unpack("!cI", receive(sock, 5))
        body = receive(sock, size - 4)
        if kind == b"E":
            raise ConnectionError(f"PostgreSQL refused: {body!r}")
        if kind == b"Z":
            return
