"""A real wire before a real Redis, as a cell of two services that talk to it; nothing else of a cell is there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from airproof.environment.model import RedisSource
from airproof.environment.topology import CellDescription, CellKind, Endpoint, Link, Node, Role
from airproof.history import History
from airproof.providers.native.readiness import redis_probe
from airproof.providers.native.redis import find_redis
from airproof.waiting import wait_until
from airproof.wire.control import Wire

LOOPBACK = "127.0.0.1"
DESKS = ("desk", "till")


@dataclass
class WiredCell:
    """What faults see of a wired cell."""

    description: CellDescription
    wire: Wire
    history: History = field(default_factory=History)
    processes: Any = None
    logs: Any = None
    resources: Any = None
    storage: Any = None
    migration: Any = None

    @property
    def capabilities(self) -> WiredCell:
        return self


class Client:
    """One connection of a service to Redis, through the wire."""

    def __init__(self, cell: WiredCell, source: str = "desk", timeout_s: float = 5.0) -> None:
        endpoint = cell.description.as_seen_by(source).node("redis").endpoint
        self._socket = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)

    def ask(self, *words: str) -> str:
        """One command and the first line of its answer; ConnectionError at the end of the connection."""
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self._socket.sendall(f"*{len(words)}\r\n{parts}".encode())
        return self.hear()

    def hear(self) -> str:
        """What comes next; ConnectionError at the end of the connection."""
        answer = self._socket.recv(4096)
        if not answer:
            raise ConnectionError("closed")
        return answer.decode()

    def answers(self, *words: str, within_s: float) -> bool:
        """Whether an answer comes in time; without words, whether anything comes."""
        self._socket.settimeout(within_s)
        try:
            self.ask(*words) if words else self.hear()
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def redis_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    server = find_redis(RedisSource.AUTO)
    endpoint = Endpoint(LOOPBACK, free_ports(1)[0])
    options = [
        "--port",
        str(endpoint.port),
        "--bind",
        LOOPBACK,
        "--save",
        "",
        "--dir",
        str(tmp_path_factory.mktemp("r")),
    ]
    with subprocess.Popen([server.executable, *options], stdout=subprocess.DEVNULL) as process:
        probe = redis_probe(endpoint)
        try:
            wait_until(lambda: not probe(), timeout_s=20, describe="Redis")
            yield endpoint
        finally:
            process.kill()


@pytest.fixture
def wired_cell(redis_endpoint: Endpoint) -> Iterator[WiredCell]:
    links = [
        {
            "name": f"{desk}>redis",
            "source": desk,
            "target": "redis",
            "protocol": "redis",
            "port": 0,
            "upstream_host": redis_endpoint.host,
            "upstream_port": redis_endpoint.port,
        }
        for desk in DESKS
    ]
    configuration = {"token": "t", "links": links, "end_with_stdin": True}
    argv = [sys.executable, "-m", "airproof.wire"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path("/")) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(configuration) + "\n")
        process.stdin.flush()
        ready = json.loads(process.stdout.readline())
        host, port = ready["control"]
        wire = Wire(host, port, "t")
        wait_until(lambda: all(link["listening"] for link in wire.links()), timeout_s=10, describe="the links")
        try:
            yield WiredCell(describe(redis_endpoint, ready["links"]), wire)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def describe(redis: Endpoint, ports: dict[str, int]) -> CellDescription:
    nodes = (*(Node(desk, Role.SERVICE, redis) for desk in DESKS), Node("redis", Role.REDIS, redis))
    links = tuple(Link(desk, "redis", "redis", Endpoint(LOOPBACK, ports[f"{desk}>redis"])) for desk in DESKS)
    return CellDescription("w1", nodes, kind=CellKind.WIRED, links=links)
