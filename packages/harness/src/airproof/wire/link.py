"""One link of a cell: listens in the place of a target while that target can be reached, and keeps its connections.

A refused connection stays a refused connection: while nobody answers at the upstream address, nobody listens at the
link's. The port stays bound by a socket that never listens, so that nobody else takes it meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from airproof.wire.armed import Armed, Candidates
from airproof.wire.connection import Connection
from airproof.wire.greeting import admit
from airproof.wire.journal import Journal
from airproof.wire.rules import CONNECT, ESTABLISHED
from airproof.wire.session import Session
from airproof.wire.specs import LinkSpec
from airproof.wire.stream import Stream, prepare

PROBE_FIRST_S = 0.01
PROBE_LONGEST_S = 0.05
DIAL_TIMEOUT_S = 30.0
BACKLOG = 1024
ACCEPTED_AT_ONCE = 64
PAUSE_WITHOUT_FILES_S = 0.05
_OF_CONNECTIONS = {CONNECT, ESTABLISHED}


class Link:
    """A link in force.

    Attributes:
        ruled: whether any rule concerns what passes, so that nothing passes unseen.
        recording: whether every exchange is recorded.
        port: where it listens, or would.
    """

    def __init__(self, spec: LinkSpec, session: Callable[[], Session], journal: Journal, numbers: count[int]) -> None:
        self.spec = spec
        self.journal = journal
        self.ruled = False
        self.recording = spec.record
        self.connections: dict[int, Connection] = {}
        self._session = session
        self._numbers = numbers
        self._loop = asyncio.get_running_loop()
        self._rules: list[Armed] = []
        self._by_event: dict[str, Candidates] = {}
        self._arriving: dict[asyncio.Task[None], Stream] = {}
        self._listener: socket.socket | None = None
        self._probe: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._place = _bound(spec.host, spec.port)
        self.port: int = self._place.getsockname()[1]

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._listener is not None

    def open(self) -> None:
        """Begins to look for the upstream, and listens as soon as it answers."""
        if self._probe is None and self._listener is None:
            self._probe = self._loop.create_task(self._look_for_upstream())

    async def settled(self, timeout_s: float) -> None:
        """Returns when the upstream has answered or refused for the first time, or after `timeout_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), timeout_s)

    def rules_for(self, event: str) -> Candidates:
        """The rules that such an exchange may match."""
        found = self._by_event.get(event)
        if found is None:
            found = Candidates(armed for armed in self._rules if armed.concerns(self.spec.protocol, event))
            if len(self._by_event) > 1000:  # a client that makes up its own events
                self._by_event.clear()
            self._by_event[event] = found
        return found

    def apply(self, rules: list[Armed]) -> None:
        """Takes those of the rules that concern this link and can still act.

        Throttles come last: they pass a message on themselves, so that nothing is left of it to act on.
        """
        spec = self.spec
        self._rules = [
            armed
            for armed in rules
            if fnmatchcase(spec.source, armed.rule.source)
            and fnmatchcase(spec.target, armed.rule.target)
            and armed.rule.match.protocol in {"", spec.protocol}
            and not armed.exhausted
        ]
        self._rules.sort(key=lambda armed: armed.rule.action.kind == "throttle")
        self._by_event.clear()
        self.ruled = any(not set(armed.rule.match.events) <= _OF_CONNECTIONS for armed in self._rules)
        self._retune()

    def strike(self, armed: Armed) -> None:
        """Lets a new rule act on the connections that are there."""
        if armed in self.rules_for(ESTABLISHED).rules:
            for connection in list(self.connections.values()):
                connection.strike(armed)

    def record(self, on: bool) -> None:
        """Switches the recording of every exchange."""
        self.recording = on
        self._retune()

    def forget(self, connection: Connection, how: str) -> None:
        """The connection is over."""
        self.connections.pop(connection.id, None)
        if self.recording:
            self.journal.happened("closed", self.spec.name, connection.id, how=how)
        if not connection.server_was_well:
            self._doubt()

    def close(self) -> None:
        """Stops listening and resets all connections."""
        self._stop_listening()
        if self._probe:
            self._probe.cancel()
        for task, client in list(self._arriving.items()):
            task.cancel()
            client.reset()  # a task that is cancelled before its first step does nothing at all
        for connection in list(self.connections.values()):
            connection.reset()
        self._place.close()

    def to_json(self) -> dict[str, Any]:
        """The link and its state."""
        return {
            **asdict(self.spec),
            "port": self.port,
            "listening": self.is_listening,
            "connections": len(self.connections),
            "recording": self.recording,
        }

    def _retune(self) -> None:
        for connection in list(self.connections.values()):
            connection.retune()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._listener is None:
                return
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # out of file descriptors: those who wait wait a little longer
                self._loop.remove_reader(self._listener)
                self._loop.call_later(PAUSE_WITHOUT_FILES_S, self._accept_again)
                return
            client = Stream(self._loop, prepare(sock))
            task = self._loop.create_task(self._serve(client, peer))
            self._arriving[task] = client
            task.add_done_callback(self._arriving.pop)

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    async def _serve(self, client: Stream, peer: tuple[str, int]) -> None:
        identity = next(self._numbers)
        try:
            rules = self.rules_for(CONNECT).rules
            struck = self.rules_for(ESTABLISHED).rules
            if rules and not await admit(self, identity, client, peer, rules):
                return
            session = self._session()
            server = Stream(self._loop, await self._dial())
        except OSError:
            client.reset()
            self._doubt(is_dead=True)
            return
        except BaseException:
            client.reset()
            raise
        if self.recording:
            self.journal.happened("opened", self.spec.name, identity, peer=f"{peer[0]}:{peer[1]}")
        self.connections[identity] = connection = Connection(self, identity, session, client, server)
        for armed in self.rules_for(ESTABLISHED).rules:
            if armed not in struck:  # it came while the server was dialled
                connection.strike(armed)

    async def _dial(self) -> socket.socket:
        """A connection to the upstream."""
        address = (self.spec.upstream_host, self.spec.upstream_port)
        sock = prepare(socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET))
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await self._loop.sock_connect(sock, address)
            if sock.getsockname() == sock.getpeername():
                # Nobody listens at an ephemeral port, and the system connected the socket to itself.
                raise ConnectionRefusedError(f"nobody listens at {address}")
        except BaseException:
            sock.close()
            raise
        return sock

    def _doubt(self, *, is_dead: bool = False) -> None:
        """The upstream may be dead: while it is, nobody listens here."""
        if is_dead:
            self._stop_listening()
        if self._probe is None and self._place.fileno() >= 0:
            self._probe = self._loop.create_task(self._look_for_upstream())

    async def _look_for_upstream(self) -> None:
        pause_s = PROBE_FIRST_S
        never = asyncio.Event()
        try:
            while True:
                try:
                    sock = await self._dial()
                except OSError:
                    self._stop_listening()
                    self._looked.set()
                else:
                    sock.close()
                    self._listen()
                    self._looked.set()
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(never.wait(), pause_s)
                pause_s = min(pause_s * 1.5, PROBE_LONGEST_S)
        finally:
            self._probe = None

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.spec.host, self.port)
            self._listener.listen(BACKLOG)
            self._loop.add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen. Several may share the port."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
