"""A forwarder in front of PostgreSQL that keeps what a session made of what passed."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

import psycopg
import pytest

from airproof.environment.topology import Endpoint
from airproof.wire.protocols.postgres import PostgresSession
from airproof.wire.session import Exchange, Segment, Sender

PATIENCE_S = 30.0
Piece = tuple[Sender, bytes]


@pytest.fixture(scope="session")
def server(postgres_server: Endpoint) -> Endpoint:
    return postgres_server


class Followed:
    """One connection through the forwarder.

    Attributes:
        pieces: what came, as it came.
        exchanges: in the order in which they began.
    """

    def __init__(self, client: socket.socket, server: socket.socket, watched: bool) -> None:
        self.session = PostgresSession()
        self.session.watched = watched
        self.pieces: list[Piece] = []
        self.exchanges: list[Exchange] = []
        self.segments: list[tuple[Sender, Segment]] = []
        self.lock = Lock()
        pumps = ((Sender.CLIENT, client, server), (Sender.SERVER, server, client))
        self._threads = [Thread(target=self._pump, args=pump, daemon=True) for pump in pumps]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _pump(self, sender: Sender, source: socket.socket, sink: socket.socket) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            out = self._take(sender, data)
            with suppress(OSError):
                sink.sendall(out)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _take(self, sender: Sender, data: bytes) -> bytes:
        with self.lock:
            self.pieces.append((sender, data))
            segments = self.session.receive(sender, data) if data else self.session.finish(sender)
            self.segments += ((sender, segment) for segment in segments)
            for segment in segments:
                if segment.exchange and segment.exchange not in self.exchanges:
                    self.exchanges.append(segment.exchange)
        return b"".join(segment.data for segment in segments)


class Forwarder:
    """Listens in the place of the server."""

    def __init__(self, server: Endpoint, watched: bool = True) -> None:
        self.followed: list[Followed] = []
        self._server = server
        self._watched = watched
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", **{"dbname": "postgres", **options})

    def socket(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        self._sockets.append(client)
        return client

    def exchanges(self, connection: int = 0) -> list[Exchange]:
        """Those of a connection that the client has closed."""
        self.followed[connection].join()
        return self.followed[connection].exchanges

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection((self._server.host, self._server.port))
                self._sockets += (client, upstream)
                followed = Followed(client, upstream, self._watched)
                self.followed.append(followed)  # before a byte passes: who has its answer finds it here
                followed.start()


@pytest.fixture(scope="session")
def forwarders(server: Endpoint) -> Iterator[list[Forwarder]]:
    made: list[Forwarder] = []
    yield made
    for forwarder in made:
        forwarder.close()


@pytest.fixture(scope="session")
def make_forwarder(server: Endpoint, forwarders: list[Forwarder]) -> Callable[..., Forwarder]:
    def make(watched: bool = True) -> Forwarder:
        forwarders.append(Forwarder(server, watched))
        return forwarders[-1]

    return make


@pytest.fixture
def forwarder(make_forwarder: Callable[..., Forwarder]) -> Forwarder:
    return make_forwarder()


Said = Callable[[Sequence[Exchange]], list[tuple[str, str | None]]]


@pytest.fixture
def said() -> Said:
    """What a list of exchanges says, without those that only set a connection up."""

    def say(exchanges: Sequence[Exchange]) -> list[tuple[str, str | None]]:
        quiet = {"startup", "terminate"}
        return [(one.event, one.outcome) for one in exchanges if one.event not in quiet]

    return say
