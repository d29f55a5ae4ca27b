"""A connection to a broker that is closed while something is written to it."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

import pyairtable_reference.kit.messaging  # noqa: F401 - whose connections they are


async def send_when_closed() -> None:
    broker = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = broker.sockets[0].getsockname()[1]
    connection = conn.AIOKafkaConnection("127.0.0.1", port, request_timeout_ms=1000)
    connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
    connection._versions = {MetadataRequest.API_KEY: (0, 5)}
    connection._read_task = connection._closed_fut = asyncio.get_running_loop().create_future()
    connection._read_task.set_result(None)
    connection._writer.transport.abort()
    async with asyncio.timeout(5):
        await connection._writer.wait_closed()
    try:
        connection.send(MetadataRequest([]))
    finally:
        assert not connection.connected()
        broker.close()


def test_a_request_on_a_connection_that_was_just_closed_is_an_error_that_aiokafka_expects() -> None:
    with pytest.raises(KafkaConnectionError):
        uvloop.run(send_when_closed())
