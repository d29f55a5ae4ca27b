"""Of Redis here; of PostgreSQL with the toy platform, in tests/providers."""

from __future__ import annotations

from typing import Self

import pytest
from psycopg import OperationalError

from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof.errors import FaultUnsupported
from airproof.faults import connections
from airproof.faults.connections import used_up_connections
from airproof.faults.redis_connection import RedisConnection, RedisError

from .conftest import WiredCell
from .test_process import FakeCell


def ping(cell: WiredCell) -> object:
    with RedisConnection(cell.description.node("redis").endpoint) as connection:
        return connection.ask("PING")


def test_one_more_connection_to_redis_is_refused_until_it_heals(wired_cell: WiredCell) -> None:
    with used_up_connections(wired_cell, "redis"), pytest.raises(RedisError, match="max number of clients"):
        ping(wired_cell)
    assert ping(wired_cell) == "PONG"
    (recorded,) = wired_cell.history.recording().faults
    assert "max number of clients" in recorded.evidence[0].what


def test_so_many_are_left(wired_cell: WiredCell) -> None:
    endpoint = wired_cell.description.node("redis").endpoint
    with used_up_connections(wired_cell, "redis", leaving=1), RedisConnection(endpoint) as one:
        assert one.ask("PING") == "PONG"
        with pytest.raises(RedisError, match="max number of clients"):
            ping(wired_cell)


class OneConnection:
    """Of a server that takes one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def execute(self, _: str) -> OneConnection:
        return self

    def fetchone(self) -> tuple[int]:
        return (1,)


def test_what_postgresql_really_said_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[OneConnection | Exception] = [
        *(OneConnection(), OneConnection(), OperationalError("server closed the connection unexpectedly")),
        OneConnection(),
    ]

    def connect(*_: object) -> OneConnection:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(connections, "_connect", connect)
    node = Node("postgres-primary", Role.POSTGRES_PRIMARY, Endpoint("127.0.0.1", 1))
    cell = FakeCell(None, description=CellDescription("c1", (node,)))
    with used_up_connections(cell, node.name) as taken:
        assert taken == 1
    (recorded,) = cell.history.recording().faults
    (evidence,) = recorded.evidence
    assert "server closed the connection" in evidence.what
    assert "53300" not in str(evidence)


def test_another_node_is_refused(wired_cell: WiredCell) -> None:
    with pytest.raises(FaultUnsupported, match="PostgreSQL and Redis"), used_up_connections(wired_cell, "desk"):
        pass


def test_answers_of_every_kind_are_read(wired_cell: WiredCell) -> None:
    with RedisConnection(wired_cell.description.node("redis").endpoint) as connection:
        connection.ask("DEL", "kinds")
        assert connection.ask("RPUSH", "kinds", "a", b"\x00\r\n") == 2
        assert connection.ask("LRANGE", "kinds", 0, -1) == [b"a", b"\x00\r\n"]
        assert connection.ask("GET", "nothing") is None
        with pytest.raises(RedisError, match="WRONGTYPE"):
            connection.ask("GET", "kinds")
