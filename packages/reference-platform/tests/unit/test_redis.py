from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as ConnectionLost

from pyairtable_reference.kit.redis import open_redis


def test_a_connection_that_is_closed_before_it_is_written_to_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def closed(*_: Any) -> None:
        raise RuntimeError("the handler is closed")  # as uvloop says of a transport

    async def scenario() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_redis(f"redis://127.0.0.1:{port}", timeout_s=1) as redis:
            with pytest.raises(ConnectionLost, match="closed"):
                await redis.get("any")

    monkeypatch.setattr(Connection, "_send_packed_command", closed)
    asyncio.run(scenario())
