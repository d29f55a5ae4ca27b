"""Records what real clients and real servers say to each other, for `fuzz.py`.

    python -m tests.clients.conversations OUT.json

OUT.json holds a list of conversations: their protocol, and the pieces in the order in which they came, each with who
sent it (`client`, `server`) and its bytes in base64. For Kafka the pieces are those that arrive at a wire.
"""

from __future__ import annotations

import base64
import http.client
import json
import smtplib
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Any

import kafka
import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from airproof.environment.model import KafkaSource, PostgresSource, RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.kafka import broker_spec, provide_broker
from airproof.providers.native.postgres import SETTINGS, find_postgres, primary_probe, server_spec
from airproof.providers.native.postgres_cluster import INITDB
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.native.readiness import await_ready, kafka_probe, redis_probe
from airproof.providers.native.redis import find_redis, redis_spec
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.providers.native.together import Silence
from airproof.supervision import ProcessSpec, Supervisor
from airproof.wire.protocols import session_factory
from airproof.wire.session import Sender

GROUP = "conversations"
READY_S = 60.0
TIMEOUT_S = 20.0
READ_BYTES = 65536
SILENT = ("CLIENT", "REPLY", "SKIP")


class Recorder:
    """Stands before a server, passes on what its session gives back and keeps what came in.

    Attributes:
        address: where clients connect.
        conversations: one list of pieces for each connection.
    """

    def __init__(self, protocol: str, host: str, port: int) -> None:
        self.conversations: list[list[tuple[str, str]]] = []
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._make = session_factory(protocol, lambda _host, _port: self.address)
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                ends = (client, socket.create_connection(self._upstream))
                pieces: list[tuple[str, str]] = []
                self.conversations.append(pieces)
                session, lock = self._make(), Lock()

                def take(sender: Sender, data: bytes, session: Any = session, pieces: Any = pieces) -> bytes:
                    pieces.append((sender.name.lower(), base64.b64encode(data).decode()))
                    return b"".join(segment.data for segment in session.receive(sender, data))

                for sender in Sender:
                    Thread(target=_pump, args=(sender, ends, lock, take), daemon=True).start()


def _pump(
    sender: Sender, ends: tuple[socket.socket, socket.socket], lock: Lock, take: Callable[[Sender, bytes], bytes]
) -> None:
    source, sink = ends[sender], ends[1 - sender]
    with suppress(OSError):
        while data := source.recv(READ_BYTES):
            with lock:
                out = take(sender, data)
            sink.sendall(out)
        sink.shutdown(socket.SHUT_WR)


def _redis(port: int) -> None:
    """Raw, for a script in this folder has the name of the client's package."""

    def command(*words: str) -> bytes:
        return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)

    talks = (
        [("PING",), ("SET", "k", "v" * 300), ("GET", "k"), ("LPUSH", "l", "a", "b"), ("LRANGE", "l", "0", "-1")],
        [("HELLO", "3"), ("HSET", "h", "a", "1"), ("HGETALL", "h"), ("CLIENT", "TRACKING", "ON"), ("GET", "k")],
        [("MULTI",), ("INCR", "n"), ("GET", "k"), ("EXEC",), ("INCR", "k"), ("SELECT", "1"), ("DBSIZE",)],
        [("EVAL", "return {1, {2, ARGV[1]}}", "1", "k", "x"), ("XADD", "s", "*", "f", "v"), ("XRANGE", "s", "-", "+")],
        [("SUBSCRIBE", "a", "b"), ("PSUBSCRIBE", "c*"), ("PING",), ("UNSUBSCRIBE",), ("PUNSUBSCRIBE",)],
        [SILENT, ("SET", "k", "w"), ("GET", "k"), ("INFO",), ("COMMAND", "INFO", "GET", "SET")],
    )
    for talk in talks:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
            for words in talk:
                client.sendall(command(*words))
                if talk[0] != SILENT:
                    client.recv(READ_BYTES)
            client.sendall(
                b"ECHO done-with-this\r\n" if talk[0][0] != "SUBSCRIBE" else command("ECHO", "done-with-this")
            )
            _read_until(client, b"done-with-this")


def _read_until(client: socket.socket, mark: bytes) -> None:
    read = b""
    while mark not in read:
        piece = client.recv(READ_BYTES)
        if not piece:
            raise SystemExit(f"the server hung up before {mark!r}; last seen: {read[-200:]!r}")
        read += piece


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x;a=b\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(body) + 1, b"=" + body))

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello" if self.command == "GET" else b"")

    do_HEAD = do_GET  # noqa: N815 - the server looks for this name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _http(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)) as client:
        for method, path, body in (
            ("GET", "/a?b=c", None),
            ("HEAD", "/", None),
            ("POST", "/p", b"x" * 500),
            ("GET", "/", None),
        ):
            client.request(method, path, body, {"Authorization": "Bearer abc", "X-Tag": "1"})
            client.getresponse().read()


def _smtp(port: int) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@b.org", "c@d.org", "Grüße"
    mail.set_content(".dot\nhello ä\n" * 20)
    with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT_S) as client:
        client.send_message(mail)
        client.noop()
        client.docmd("RCPT", "TO:<x@y>")
        client.rset()


def _postgres(port: int) -> None:
    address = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres", "sslmode": "disable"}
    with psycopg.connect(**address, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (%s, %s)", (1, "ann"))
        for _ in range(3):
            connection.execute("SELECT name FROM t WHERE id = %s", (1,), prepare=True).fetchall()
        with suppress(psycopg.Error):
            connection.execute("INSERT INTO t VALUES (1, 'again')")
        with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((2, "bob"))
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("NOTIFY x, 'y'")
        connection.execute("SELECT repeat('x', 1000), * FROM t").fetchall()


def _kafka(port: int) -> None:
    bootstrap = f"127.0.0.1:{port}"
    with closing(kafka.KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.create_topics([kafka.admin.NewTopic("t", 1, 1)])
    for compression in (None, "gzip"):
        with closing(kafka.KafkaProducer(bootstrap_servers=bootstrap, compression_type=compression)) as producer:
            for number in range(5):
                producer.send("t", key=b"k", value=b"value %d" % number).get(TIMEOUT_S)
    with closing(
        kafka.KafkaConsumer("t", bootstrap_servers=bootstrap, group_id="g", auto_offset_reset="earliest")
    ) as consumer:
        consumer.poll(timeout_ms=int(TIMEOUT_S * 1000))
        consumer.commit()


@contextmanager
def _servers() -> Iterator[dict[str, int]]:
    """One server of each protocol, and its port."""
    with ExitStack() as stack, TemporaryDirectory() as directory:
        supervisor = stack.enter_context(Supervisor.start(label=GROUP))
        ports = supervisor.take_ports(GROUP, 5)
        ends = [Endpoint("127.0.0.1", port) for port in ports]
        redis = redis_spec(find_redis(RedisSource.AUTO), GROUP, supervisor.make_directory(GROUP, "redis"), ends[0])
        supervisor.spawn(redis)
        broker = provide_broker(Cache(cache_root(), Path(directory)), supervisor, KafkaSource.AUTO, Silence())
        broker_process = broker_spec(broker, supervisor, GROUP, ends[1], ends[2], expendable=False)
        supervisor.spawn(broker_process)
        postgres = _start_postgres(supervisor, ends[3])
        probes = {redis.name: redis_probe(ends[0]), broker_process.name: kafka_probe(ends[1])}
        await_ready(supervisor, GROUP, {**probes, postgres: primary_probe(ends[3])}, timeout_s=READY_S)
        note_segments(supervisor, GROUP, postgres)
        mail = Controller(Sink(), "127.0.0.1", ports[4])
        mail.start()
        stack.callback(mail.stop, no_assert=True)
        web = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _Echo))
        Thread(target=web.serve_forever, daemon=True).start()
        stack.callback(web.shutdown)
        yield {"redis": ports[0], "kafka": ports[1], "postgres": ports[3], "smtp": ports[4], "http": web.server_port}


def _start_postgres(supervisor: Supervisor, endpoint: Endpoint) -> str:
    found = find_postgres(PostgresSource.AUTO)
    data = supervisor.make_directory(GROUP, "postgres")
    argv = (found.program("initdb"), *INITDB, "-D", str(data))
    initdb = ProcessSpec(f"{GROUP}/initdb", GROUP, argv, dict(PLAIN_ENVIRONMENT), str(data), unprivileged=True)
    run_to_end(supervisor, initdb, timeout_s=READY_S)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
    spec = server_spec(found, GROUP, "postgres", data, endpoint)
    forget_with(supervisor, GROUP)
    supervisor.spawn(spec)
    return spec.name


def main(out: Path) -> None:
    """Records all protocols."""
    clients = {"redis": _redis, "http": _http, "smtp": _smtp, "postgres": _postgres, "kafka": _kafka}
    found = []
    with _servers() as ports, ThreadPoolExecutor() as pool:
        recorders = {name: Recorder(name, "127.0.0.1", port) for name, port in ports.items()}
        talks: dict[str, Future[None]] = {
            name: pool.submit(clients[name], recorder.address[1]) for name, recorder in recorders.items()
        }
        for name, recorder in recorders.items():
            talks[name].result(120)
            found += [{"protocol": name, "pieces": pieces} for pieces in recorder.conversations if pieces]
            recorder.close()
    out.write_text(json.dumps(found))
    sys.stdout.write(f"{len(found)} conversations in {out}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
