"""Rules come and go at any byte of a stream, and what they do not take away arrives unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from socket import socket
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airproof.wire import LinkSpec, Rule, matching, on, passing
from airproof.wire.armed import Armed, Captures
from airproof.wire.connection import Connection
from airproof.wire.journal import Journal
from airproof.wire.link import Link
from airproof.wire.protocols.http import HttpSession
from airproof.wire.protocols.redis import RedisSession
from airproof.wire.protocols.smtp import SmtpSession
from airproof.wire.session import Sender, Session
from airproof.wire.stream import Stream

from .test_splits import Turn, cut, http_turns, redis_turns, smtp_turns

HERE = on("client", "server")
Step = tuple[Sender, bytes] | int
"""A piece that one side sends, or the number of a rule that comes, or goes if it is in force."""


class Socket:
    """Takes a few bytes at a time of what is sent, now and then none."""

    def __init__(self, takes: list[int]) -> None:
        self.sent = b""
        self._takes = takes

    def recv(self, _: int) -> bytes:
        raise AssertionError("the test says what comes")

    def send(self, data: bytes) -> int:
        most = self._takes.pop() if self._takes else len(data)
        if not most:
            raise BlockingIOError
        self.sent += data[:most]
        return min(most, len(data))

    def shutdown(self, _: int) -> None:
        pass

    def close(self) -> None:
        pass


class Loop:
    """Calls writers when the test says so."""

    def __init__(self) -> None:
        self.writers: dict[socket, Callable[[], None]] = {}

    def add_reader(self, sock: socket, call: Callable[[], None]) -> None:
        pass

    def remove_reader(self, sock: socket) -> None:
        pass

    def add_writer(self, sock: socket, call: Callable[[], None]) -> None:
        self.writers[sock] = call

    def remove_writer(self, sock: socket) -> None:
        self.writers.pop(sock, None)


class Bench:
    """One connection of a link, without a network, and rules that can be put in force and taken away."""

    def __init__(self, link: Link, make: type[Session], takes: list[int]) -> None:
        self.sockets = (Socket(takes), Socket([]))
        self._loop = Loop()
        self._link = link
        self._in_force: dict[int, Armed] = {}
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        self._streams = tuple(Stream(loop, cast("socket", sock)) for sock in self.sockets)
        link.connections[1] = Connection(link, 1, make(), *self._streams)

    async def send(self, sender: Sender, data: bytes) -> None:
        self._streams[sender].received(data)
        await self._turn()

    async def switch(self, number: int, rule: Rule) -> None:
        gone = self._in_force.pop(number, None)
        if gone is None:
            self._in_force[number] = Armed(rule, Captures())
        else:
            gone.remove()
        self._link.apply(list(self._in_force.values()))
        await self._turn()

    async def end(self, rules: list[Rule]) -> None:
        for number in list(self._in_force):
            await self.switch(number, rules[number])
        for stream in self._streams:
            stream.ended(False)
        await self._turn()
        while self._loop.writers:
            await self._turn()

    async def _turn(self) -> None:
        for _ in range(6):
            turned = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(turned.set_result, None)
            await turned
            for write in list(self._loop.writers.values()):
                write()


@contextmanager
def link_of(make: type[Session]) -> Iterator[Link]:
    link = Link(LinkSpec("link", "client", "server", make.protocol, 0, "127.0.0.1", 1), make, Journal(), count(1))
    try:
        yield link
    finally:
        link.close()


def rules_for(protocol: str) -> list[Rule]:
    message = HERE.when(matching(protocol))
    return [
        message.observe(),
        message.hold(),
        message.after().hold(),
        message.delay(0),
        message.after().delay(0),
        HERE.when(passing()).hold(),
        HERE.when(matching(protocol, containing="never")).reset(),
        message.after("never").reset(),
    ]


async def play(make: type[Session], steps: list[Step], takes: list[int]) -> tuple[bytes, bytes]:
    """What arrives at the client and at the server."""
    rules = rules_for(make.protocol)
    with link_of(make) as link:
        bench = Bench(link, make, takes)
        for step in steps:
            if isinstance(step, int):
                await bench.switch(step, rules[step])
            else:
                await bench.send(*step)
        await bench.end(rules)
        return bench.sockets[0].sent, bench.sockets[1].sent


@pytest.mark.parametrize(
    ("make", "strategy"),
    [(RedisSession, redis_turns()), (HttpSession, http_turns()), (SmtpSession, smtp_turns())],
    ids=["redis", "http", "smtp"],
)
@settings(max_examples=60)
@given(st.data())
def test_all_bytes_arrive_in_order_whenever_rules_come_and_go(
    make: type[Session], strategy: st.SearchStrategy[list[Turn]], data: st.DataObject
) -> None:
    turns = data.draw(strategy)
    steps: list[Step] = []
    for sender, sent in turns:
        for piece in data.draw(st.composite(cut)(sent)):
            steps += [*data.draw(st.lists(st.integers(0, 7), max_size=2)), (sender, piece)]
    takes = data.draw(st.lists(st.integers(0, 30), max_size=20))

    to_client, to_server = asyncio.run(play(make, steps, takes))

    assert to_client == b"".join(sent for sender, sent in turns if sender is Sender.SERVER)
    assert to_server == b"".join(sent for sender, sent in turns if sender is Sender.CLIENT)


def test_a_reply_that_is_kept_when_the_connection_turns_opaque_goes_first() -> None:
    endless, rest = b"HTTP/1.1 200 OK\r\n\r\nendless", b" to the end"
    held_after = 2
    steps: list[Step] = [
        held_after,
        (Sender.CLIENT, b"GET / HTTP/1.1\r\n\r\n"),
        (Sender.SERVER, endless),
        (Sender.CLIENT, b"not HTTP\r\n"),
        (Sender.SERVER, rest),
    ]
    assert asyncio.run(play(HttpSession, steps, []))[0] == endless + rest
