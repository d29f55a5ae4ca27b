"""The table of protocol, moment and action, row by row, on real clients and servers.

Whatever the table allows must happen: the server sees the message as often as the action says, the client gets the
answer it says or none, there is evidence, and once the rule is gone the next client notices nothing.
"""

from __future__ import annotations

import http.client
import smtplib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from airproof.environment.model import RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.readiness import await_ready, redis_probe
from airproof.providers.native.redis import find_redis, redis_spec
from airproof.supervision import Supervisor
from airproof.waiting import wait_until
from airproof.wire import Wire, matching, on
from airproof.wire.actions import possible
from airproof.wire.building import Selected
from airproof.wire.rules import Moment, Rule

PATIENT_S = 10.0

confluent_admin = pytest.importorskip("confluent_kafka.admin")

NO_ANSWER = {"lose_request", "lose_reply", "reset", "cut", "truncate"}
NOT_SERVED = {"lose_request", "reset", "cut", "truncate", "respond"}
EITHER = {"half_close", "corrupt"}
"""Whether these are served and answered is the server's choice."""


@dataclass(frozen=True)
class Subject:
    """A real client and server of a protocol.

    Attributes:
        act: does the event once over a new connection to a port; raises where it is refused or not answered.
        count: how often it was done, asked of the server.
        answer: the fields of an answer in the server's place.
        errors: what `act` raises then.
    """

    protocol: str
    port: int
    act: Callable[[int], object]
    count: Callable[[], int]
    answer: dict[str, Any]
    errors: tuple[type[Exception], ...]


EVENTS = {"http": "request", "kafka": "Produce", "postgres": "autocommit", "redis": "RPUSH", "smtp": "RCPT"}
ROWS = [
    (protocol, moment, kind)
    for protocol, event in EVENTS.items()
    for moment in Moment
    for kind in sorted(possible(protocol, event, moment))
]


@pytest.mark.parametrize(("protocol", "moment", "kind"), ROWS)
def test_what_the_table_allows_happens(
    protocol: str,
    moment: Moment,
    kind: str,
    subjects: dict[str, Subject],
    wire: Wire,
    open_link: Callable[..., int],
) -> None:
    subject = subjects[protocol]
    port = open_link(subject.port, protocol=protocol)
    before = subject.count()
    served = 2 if kind in {"duplicate", "reorder"} else int(moment is Moment.AFTER or kind not in NOT_SERVED)
    with ThreadPoolExecutor(1) as pool, wire.apply(rule_of(subject, moment, kind)) as applied:
        outcome = pool.submit(subject.act, port)
        applied.wait_until_fired(PATIENT_S)
        if kind == "hold":
            assert subject.count() - before == (moment is Moment.AFTER)
            assert not outcome.done()
            applied.release()
        if kind == "reorder":
            subject.act(port)
        if kind == "cut":
            assert not outcome.done()
        else:
            wait([outcome], PATIENT_S)
        evidence = applied.evidence()[0]
        assert (evidence["event"], evidence["action"]) == (EVENTS[protocol], kind)
    if kind not in EITHER:
        assert answered(outcome, subject) == (kind not in NO_ANSWER and kind != "respond")
    subject.act(port)
    if kind in EITHER:
        return
    wait_until(lambda: subject.count() - before > served, timeout_s=PATIENT_S, describe=f"it to be served {served} + 1")
    assert subject.count() - before == served + 1


def rule_of(subject: Subject, moment: Moment, kind: str) -> Rule:
    match = matching(subject.protocol, EVENTS[subject.protocol])
    selected = on("client", "server").when(match).times(2 if kind == "reorder" else 1)
    at: Selected = selected.before() if moment is Moment.BEFORE else selected.after()
    arguments: dict[str, dict[str, Any]] = {
        "delay": {"seconds": 0.01},
        "throttle": {"bytes_per_s": 10_000},
        "respond": subject.answer,
        "reorder": {"timeout_s": PATIENT_S},
        "truncate": {"keep": 3},
        "corrupt": {"offset": 0},
    }
    rule: Rule = getattr(at, kind)(**arguments.get(kind, {}))
    return rule


def answered(outcome: Future[object], subject: Subject) -> bool:
    try:
        outcome.result(PATIENT_S)
    except subject.errors:
        return False
    return True


@pytest.fixture(scope="module")
def subjects(supervisor: Supervisor, postgres_server: Endpoint, kafka_server: Endpoint) -> Iterator[dict[str, Subject]]:
    makers = (
        http_subject(),
        redis_subject(supervisor),
        smtp_subject(),
        postgres_subject(postgres_server),
        kafka_subject(kafka_server),
    )
    with ExitStack() as stack:
        yield {subject.protocol: subject for subject in map(stack.enter_context, makers)}


@contextmanager
def http_subject() -> Iterator[Subject]:
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    def act(port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENT_S)) as connection:
            connection.request("POST", "/orders", body=b"{}")
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise OSError(f"status {response.status}")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        errors = (OSError, http.client.HTTPException)
        port = int(server.server_address[1])
        yield Subject("http", port, act, lambda: len(paths), {"status": 503}, errors)
        server.shutdown()


@contextmanager
def redis_subject(supervisor: Supervisor) -> Iterator[Subject]:
    def client(port: int) -> Any:
        return redis.Redis(port=port, socket_timeout=PATIENT_S, retry=Retry(NoBackoff(), 0))

    def act(port: int) -> None:
        with client(port) as one:
            one.rpush("orders", "o1")

    endpoint = Endpoint("127.0.0.1", supervisor.take_ports("redis", 1)[0])
    spec = redis_spec(find_redis(RedisSource.AUTO), "redis", supervisor.make_directory("redis", "data"), endpoint)
    supervisor.spawn(spec)
    await_ready(supervisor, "redis", {spec.name: redis_probe(endpoint)}, timeout_s=30)
    with client(endpoint.port) as direct:
        answer = {"error": "LOADING Redis is loading the dataset in memory"}
        errors = (redis.RedisError, OSError)
        yield Subject("redis", endpoint.port, act, lambda: int(direct.llen("orders")), answer, errors)


@contextmanager
def smtp_subject() -> Iterator[Subject]:
    recipients: list[str] = []

    class Sink:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
            recipients.append(address)
            envelope.rcpt_tos.append(address)
            return "250 taken"

    def act(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENT_S) as client:
            client.ehlo()
            client.mail("jo@x.org")
            code, _ = client.rcpt("ann@y.org")
            if code != 250:
                raise smtplib.SMTPException(f"code {code}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    controller = Controller(Sink(), "127.0.0.1", port)
    controller.start()
    try:
        errors = (OSError, smtplib.SMTPException)
        yield Subject("smtp", port, act, lambda: len(recipients), {"code": 451}, errors)
    finally:
        controller.stop(no_assert=True)


@contextmanager
def postgres_subject(endpoint: Endpoint) -> Iterator[Subject]:
    def act(port: int) -> None:
        with closing(psycopg.connect(f"host=127.0.0.1 port={port} user=postgres", autocommit=True)) as connection:
            connection.execute("INSERT INTO orders VALUES ('o1')")

    with closing(psycopg.connect(f"host=127.0.0.1 port={endpoint.port} user=postgres", autocommit=True)) as direct:
        direct.execute("CREATE TABLE orders (id text)")

        def count() -> int:
            return sum(1 for _ in direct.execute("SELECT id FROM orders"))

        answer = {"sqlstate": "57P03", "message": "the database system is starting up"}
        yield Subject("postgres", endpoint.port, act, count, answer, (psycopg.Error, OSError))


@contextmanager
def kafka_subject(endpoint: Endpoint) -> Iterator[Subject]:
    once = {"enable.idempotence": False, "message.send.max.retries": 0, "linger.ms": 0, "log_level": 0}

    def act(port: int) -> None:
        producer = Producer({"bootstrap.servers": f"127.0.0.1:{port}", **once})
        failures: list[object] = []
        producer.produce("orders", value="o1", partition=0, on_delivery=lambda error, _: failures.append(error))
        left = producer.flush(PATIENT_S)
        producer.purge()
        if left or any(failures):
            raise KafkaException(failures)

    direct = f"{endpoint.host}:{endpoint.port}"
    client = confluent_admin.AdminClient({"bootstrap.servers": direct})
    client.create_topics([confluent_admin.NewTopic("orders", 1, 1)])["orders"].result(PATIENT_S)
    with closing(Consumer({"bootstrap.servers": direct, "group.id": "nobody"})) as consumer:

        def count() -> int:
            return int(consumer.get_watermark_offsets(TopicPartition("orders", 0), PATIENT_S)[1])

        yield Subject("kafka", endpoint.port, act, count, {"error": "NOT_ENOUGH_REPLICAS"}, (KafkaException,))
