"""The client for other services, on the event loop the services run on."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

import httpx
import pytest
import uvloop

from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.service_client import ServiceClient
from pyairtable_reference.kit.settings import Settings

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CONNECTIONS = 200
"""As many as a service gets at once."""


def client_of(port: int, *more: int, delivery_timeout_s: float = 10.0) -> ServiceClient:
    """A client that knows a user-service, and others at more ports."""
    others = {f"service-{number}": at for number, at in enumerate(more)}
    upstreams = {name: f"http://127.0.0.1:{at}" for name, at in {"user-service": port, **others}.items()}
    environment = {
        "DELIVERY_TIMEOUT_S": str(delivery_timeout_s),
        "SERVICE_NAME": "api-gateway",
        "PORT": "1",
        "SERVICE_SECRET": "s" * 40,
        "ADMIN_KEY": "operator",
        "UPSTREAMS": json.dumps(upstreams),
    }
    return ServiceClient(Settings.from_environment(environment))


async def reset_all(listening: socket.socket) -> None:
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connection.close()


def test_a_service_that_dies_as_it_is_reached_is_unavailable() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            dying = asyncio.create_task(reset_all(listening))
            client = client_of(listening.getsockname()[1])
            for _ in range(5):
                with pytest.raises(ApiError) as answer:
                    await client.call("user-service", "GET", "/api/v1/users/1")
                assert (answer.value.status, answer.value.code) == (503, "upstream-unavailable")
            await client.close()
            dying.cancel()
            await asyncio.wait({dying})

    uvloop.run(scenario())


def test_an_answer_that_comes_too_slowly_is_not_waited_for() -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                gone = asyncio.create_task(reader.read())
                while not gone.done():
                    writer.write(b".")
                    await asyncio.wait({gone}, timeout=0.05)
            finally:
                writer.close()
                ended.set()

        async with await asyncio.start_server(dribble, "127.0.0.1", 0) as server:
            client = client_of(server.sockets[0].getsockname()[1], delivery_timeout_s=1.0)
            with pytest.raises(ApiError) as answer:
                await client.call("user-service", "GET", "/api/v1/users/1")
            assert (answer.value.status, answer.value.code) == (504, "upstream-timeout")
            await client.close()
            await asyncio.wait_for(ended.wait(), 10.0)

    uvloop.run(scenario())


@pytest.mark.parametrize(
    ("code", "is_ours"), [('{"error": {"code": "service-unauthorized"}}', True), ('{"error": 1}', False), ("no", False)]
)
def test_who_is_not_believed_by_another_service_does_not_put_it_down_to_the_user(code: str, is_ours: bool) -> None:
    async def scenario() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(code), code.encode()))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            client = client_of(server.sockets[0].getsockname()[1])
            try:
                if is_ours:
                    with pytest.raises(ApiError) as answer:
                        await client.call("user-service", "GET", "/")
                    assert answer.value.status == 503
                else:
                    assert (await client.call("user-service", "GET", "/")).status_code == 401
            finally:
                await client.close()

    uvloop.run(scenario())


def test_a_service_that_hangs_takes_no_connections_from_others() -> None:
    async def scenario() -> None:
        waiting = asyncio.Semaphore(0)

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            waiting.release()
            await reader.read()
            writer.close()

        async with (
            await asyncio.start_server(say_nothing, "127.0.0.1", 0) as hanging,
            await asyncio.start_server(echo_once, "127.0.0.1", 0) as well,
        ):
            client = client_of(*(server.sockets[0].getsockname()[1] for server in (hanging, well)))
            calls = [asyncio.create_task(client.call("user-service", "GET", "/")) for _ in range(2 * CONNECTIONS)]
            try:
                for _ in range(CONNECTIONS):
                    await waiting.acquire()
                answer = await asyncio.wait_for(client.call("service-0", "GET", "/"), 5.0)
            finally:
                for one in calls:
                    one.cancel()
                await asyncio.wait(calls)
                await client.close()
        assert answer.status_code == 200

    uvloop.run(scenario())


def test_a_mistake_of_our_own_is_not_taken_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mistaken(*_: object, **__: object) -> None:
        raise AttributeError("a mistake", name="mistaken", obj=None)

    monkeypatch.setattr(httpx.AsyncClient, "request", mistaken)
    with pytest.raises(AttributeError, match="a mistake"):
        uvloop.run(client_of(1).call("user-service", "GET", "/"))


async def echo_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(asked), asked))
    await writer.drain()
    writer.close()


def call(path: str, **more: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with await asyncio.start_server(echo_once, "127.0.0.1", 0) as server:
            client = client_of(server.sockets[0].getsockname()[1])
            try:
                return await client.call("user-service", "GET", path, **more)
            finally:
                await client.close()

    return uvloop.run(scenario())


def test_a_header_passes_as_it_came() -> None:
    answer = call("/", headers={"authorization": "Bearer \xe9"})
    assert b"authorization: Bearer \xe9\r\n" in answer.content


@pytest.mark.parametrize("query", [b"\xe9", b"\x01", b"x" * 100_000])
def test_what_cannot_be_asked_for_is_the_clients_fault(query: bytes) -> None:
    with pytest.raises(ApiError) as answer:
        call("/", query=query)
    assert (answer.value.status, answer.value.code) == (400, "invalid-request")
