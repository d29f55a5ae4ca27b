"""Of Redis here; of PostgreSQL with the toy platform, in tests/providers."""

from __future__ import annotations

import pytest

from airproof.errors import FaultUnsupported
from airproof.faults.connections import used_up_connections
from airproof.faults.redis_connection import RedisConnection, RedisError

from .conftest import WiredCell


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
