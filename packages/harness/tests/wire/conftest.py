"""A wire in a thread of the test, a protocol of lines for it to follow, a server of lines behind it; and PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from airproof.environment.model import KafkaSource, PostgresSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.kafka import broker_spec, provide_broker
from airproof.providers.native.postgres import SETTINGS, find_postgres, primary_probe, server_spec
from airproof.providers.native.postgres_cluster import INITDB
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.native.readiness import await_ready, kafka_probe
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.providers.native.start_archive import archive_flags
from airproof.providers.native.together import Silence
from airproof.supervision import ProcessSpec, Supervisor, sweeping
from airproof.wire import LinkSpec, Wire, protocols
from airproof.wire.server import Control
from airproof.wire.service import Service
from airproof.wire.session import Exchange, Segment, Sender, Session

TOKEN = "token-of-the-tests"
TIMEOUT_S = 10.0
START_S = 30.0


class LineSession(Session):
    """Each line is a request, and each is answered by a line; lines of the server that begin with ! answer nothing.

    Its defects: it raises on `RAISE`, on the reply to `RAISE-LATER`, and when a rule answers `RAISE-TOLD`.
    """

    protocol = "lines"

    def __init__(self) -> None:
        super().__init__()
        self._kept = [b"", b""]
        self._number = 0
        self._pending: list[Exchange] = []
        self._transaction = 0
        self._inside = False

    def receive(self, sender: Sender, data: bytes) -> list[Segment]:
        whole, newline, self._kept[sender] = (self._kept[sender] + data).rpartition(b"\n")
        if not newline:
            return []
        follow = self._request if sender is Sender.CLIENT else self._reply
        return [follow(line) for line in (whole + newline).splitlines(keepends=True)]

    def finish(self, sender: Sender) -> list[Segment]:
        kept, self._kept[sender] = self._kept[sender], b""
        return [Segment(kept)] if kept else []

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        assert exchange.event != "RAISE-TOLD"
        if exchange in self._pending:
            self._pending.remove(exchange)
        exchange.outcome = str(answer["line"])
        return f"{answer['line']}\n".encode()

    def repeat(self, exchange: Exchange, request: bytes) -> bytes | None:
        self._pending.insert(self._pending.index(exchange) + 1, Exchange(0, "repeated"))
        return request

    def _request(self, line: bytes) -> Segment:
        self._number += 1
        words = line.decode(errors="replace").split()
        event = words[0] if words else ""
        if event == "BEGIN":
            self._inside = True
            self._transaction += 1
        assert event != "RAISE"
        exchange = Exchange(self._number, event, {}, b"", self._transaction if self._inside else None)
        if event == "COMMIT":
            self._inside = False
        if self.watched:
            exchange.fields = {"words": len(words), "last": words[-1] if words else ""}
            exchange.content = line
        self._pending.append(exchange)
        return Segment(line, exchange, last=True)

    def _reply(self, line: bytes) -> Segment:
        if line.startswith(b"!"):
            return Segment(line)
        exchange = self._pending.pop(0)
        assert exchange.event != "RAISE-LATER"
        exchange.outcome = line.decode(errors="replace").split()[0]
        return Segment(line, exchange, last=True)


class LineServer:
    """Answers every line `X` with `OK X`, and keeps what it was sent.

    Attributes:
        lines: all it has received, over all connections.
    """

    def __init__(self, port: int = 0) -> None:
        self.lines: list[str] = []
        self.resets = 0
        self.ends = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        for sock in self._sockets:
            sock.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            for line in sock.makefile("rb"):
                self.lines.append(line.decode().strip())
                sock.sendall(b"OK " + line)
        except ConnectionResetError:
            self.resets += 1
        except OSError:
            pass
        else:
            self.ends += 1
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Client:
    """A client of lines."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._lines = self.socket.makefile("rb")

    def send(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def read(self) -> str:
        """The next line; empty at the end."""
        return self._lines.readline().decode().strip()

    def ask(self, line: str) -> str:
        self.send(line)
        return self.read()

    def has_nothing_to_read(self, for_s: float = 0.1) -> bool:
        self.socket.settimeout(for_s)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK) and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


class WireInThread:
    """A service on a loop in a thread, and its control."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.service = self.run(self._start)
        port = self._server.sockets[0].getsockname()[1]
        self.control = Wire("127.0.0.1", port, TOKEN)

    def run(self, function: Callable[..., object], *arguments: object) -> object:
        async def call() -> object:
            made = function(*arguments)
            return await made if asyncio.iscoroutine(made) else made

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(TIMEOUT_S)

    def close(self) -> None:
        self.run(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    async def _start(self) -> Service:
        self._service = Service()
        self._server = await Control(self._service, TOKEN, []).listen("127.0.0.1", 0)
        return self._service

    async def _stop(self) -> None:
        self._server.close()
        self._service.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def lines_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    real = protocols.session_factory
    monkeypatch.setattr(
        protocols, "session_factory", lambda name, route: LineSession if name == "lines" else real(name, route)
    )


@pytest.fixture
def running(lines_protocol: None) -> Iterator[WireInThread]:
    running = WireInThread()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def wire(running: WireInThread) -> Wire:
    return running.control


@pytest.fixture
def serve() -> Iterator[Callable[..., LineServer]]:
    """Starts a server of lines on a port, any free one if it is 0."""
    with ExitStack() as servers:

        def serve(port: int = 0) -> LineServer:
            server = LineServer(port)
            servers.callback(server.close)
            return server

        yield serve


@pytest.fixture
def server(serve: Callable[..., LineServer]) -> LineServer:
    return serve()


@pytest.fixture
def open_link(wire: Wire) -> Callable[..., int]:
    """Opens a link from `client` to `server` and gives its port."""

    def open_link(upstream_port: int, name: str = "link", protocol: str = "lines") -> int:
        opened = wire.add_link(LinkSpec(name, "client", "server", protocol, 0, "127.0.0.1", upstream_port))
        return int(opened["port"])

    return open_link


@pytest.fixture
def port(open_link: Callable[..., int], server: LineServer) -> int:
    return open_link(server.port)


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    """Connects to a port; without one, to the link `port`."""
    clients: list[Client] = []

    def connect(port: int | None = None) -> Client:
        clients.append(Client(port or request.getfixturevalue("port")))
        return clients[-1]

    request.getfixturevalue("wire")
    yield connect
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    """Owns the real servers of these tests."""
    directory = Path(tempfile.mkdtemp(prefix="airproof-test-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRPROOF_RUNTIME_DIR", str(directory))
        with Supervisor.start(label="wire-tests") as supervisor:
            yield supervisor
        sweeping.sweep()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_server(supervisor: Supervisor) -> Endpoint:
    group = "wire-postgres"
    found = find_postgres(PostgresSource.AUTO)
    data = supervisor.make_directory(group, "data")
    argv = (found.program("initdb"), *INITDB, "-D", str(data))
    initdb = ProcessSpec(f"{group}/initdb", group, argv, dict(PLAIN_ENVIRONMENT), str(data), unprivileged=True)
    run_to_end(supervisor, initdb, timeout_s=START_S)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
    endpoint = Endpoint("127.0.0.1", supervisor.take_ports(group, 1)[0])
    spec = server_spec(found, group, "server", data, endpoint)
    forget_with(supervisor, group)
    supervisor.spawn(spec)
    await_ready(supervisor, group, {spec.name: primary_probe(endpoint)}, timeout_s=START_S)
    note_segments(supervisor, group, spec.name)
    return endpoint


@pytest.fixture(scope="session")
def kafka_server(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    group = "wire-kafka"
    cache = Cache(cache_root(), tmp_path_factory.mktemp("cache"))
    found = provide_broker(cache, supervisor, KafkaSource.AUTO, Silence())
    if found.java is None:
        pytest.skip("needs Apache Kafka, and there is only the stand-in")
    endpoint, controller = (Endpoint("127.0.0.1", port) for port in supervisor.take_ports(group, 2))
    flags = archive_flags(cache, found)
    spec = broker_spec(found, supervisor, group, endpoint, controller, expendable=False, java_flags=flags)
    supervisor.spawn(spec)
    await_ready(supervisor, group, {spec.name: kafka_probe(endpoint)}, timeout_s=2 * START_S)
    return endpoint
