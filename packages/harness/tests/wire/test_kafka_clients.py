"""Apache Kafka behind the session: clients find it through the forwarder only, and see what they would see without."""

from __future__ import annotations

import asyncio
import gc
import socket
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import pytest

from airproof.environment.topology import Endpoint
from airproof.supervision import Supervisor
from airproof.waiting import wait_until
from airproof.wire.protocols.kafka import KafkaSession
from airproof.wire.session import Exchange, Segment, Sender

aiokafka = pytest.importorskip("aiokafka")
confluent = pytest.importorskip("confluent_kafka")
confluent_admin = pytest.importorskip("confluent_kafka.admin")
kafka = pytest.importorskip("kafka")

COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"]
READY_S = 60.0
PATIENCE_S = 30.0
GROUP = "broker"


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    pid: int

    def connections(self) -> set[int]:
        """Local ports of others' connections to it, also of those that have just been closed."""
        own = {str(entry.readlink()) for entry in Path(f"/proc/{self.pid}/fd").iterdir() if entry.is_symlink()}
        rows = [
            row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        ]
        return {
            int(row[1].rsplit(":", 1)[1], 16)
            for row in rows
            if int(row[2].rsplit(":", 1)[1], 16) == self.port and f"socket:[{row[9]}]" not in own
        }


class Forwarder:
    """A listener with a session per connection, and the three things that rules would do."""

    def __init__(self, broker: Broker, known: bool = True) -> None:
        self.broker = broker
        self.known = known
        self.exchanges: list[Exchange] = []
        self.broken: list[str] = []
        self.upstream_ports: set[int] = set()
        self.reset()
        self._make = partial(KafkaSession, route=self.route, cluster={})
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        Thread(target=self._accept, daemon=True).start()

    @property
    def bootstrap(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def reset(self) -> None:
        self.exchanges.clear()
        self.answer: Callable[[Exchange], Mapping[str, str | int] | None] = lambda exchange: None
        self.repeated: Callable[[Exchange], bool] = lambda exchange: False
        self.watched = True

    def route(self, host: str, port: int) -> tuple[str, int] | None:
        return self.address if self.known and (host, port) == (self.broker.host, self.broker.port) else None

    def events(self, name: str) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.event == name]

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self.broker.host, self.broker.port))
                self._sockets += [client, server]
                self.upstream_ports.add(server.getsockname()[1])
                session = self._make()
                session.watched = self.watched
                lock = Lock()
                ends = (client, server)
                for sender in Sender:
                    Thread(target=self._pump, args=(session, lock, sender, ends), daemon=True).start()

    def _pump(
        self, session: KafkaSession, lock: Lock, sender: Sender, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        source, sink = ends[sender], ends[1 - sender]
        with suppress(OSError):
            while data := source.recv(65536):
                with lock:
                    segments = session.receive(sender, data)
                    outgoing = b"".join(self._passed(session, sender, segment, ends) for segment in segments)
                sink.sendall(outgoing)
                if session.broken:
                    self.broken.append(session.broken)
                    break
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _passed(
        self, session: KafkaSession, sender: Sender, segment: Segment, ends: tuple[socket.socket, socket.socket]
    ) -> bytes:
        exchange = segment.exchange
        assert exchange is not None
        if sender is Sender.SERVER:
            return b"" if exchange.event == "repeated" else segment.data
        self.exchanges.append(exchange)
        answer = self.answer(exchange)
        if answer is not None:
            reply = session.respond(exchange, answer)
            assert reply is not None
            ends[0].sendall(reply)
            return b""
        more = session.repeat(exchange, segment.data) if self.repeated(exchange) else None
        return segment.data + (more or b"")


@pytest.fixture(scope="module")
def broker(supervisor: Supervisor, kafka_server: Endpoint) -> Broker:
    return Broker(kafka_server.host, kafka_server.port, supervisor.pid("wire-kafka/kafka"))


@pytest.fixture(scope="module")
def shared(broker: Broker) -> Iterator[Forwarder]:
    forwarder = Forwarder(broker)
    yield forwarder
    forwarder.close()


@pytest.fixture
def forwarder(shared: Forwarder) -> Iterator[Forwarder]:
    """Fails a test in which anybody went past the forwarder.

    What the clients' own closing leaves open is collected here: later it would be another test's failure.
    """
    shared.reset()
    before = shared.broker.connections()
    yield shared
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()
    assert shared.broken == []
    assert shared.broker.connections() - before - shared.upstream_ports == set()


@pytest.fixture
def topic(forwarder: Forwarder) -> str:
    name = f"orders-{uuid.uuid4().hex[:8]}"
    admin = confluent_admin.AdminClient({"bootstrap.servers": forwarder.bootstrap})
    for done in admin.create_topics([confluent_admin.NewTopic(name, 2, 1)]).values():
        done.result(PATIENCE_S)
    return name


def produce(forwarder: Forwarder, topic: str, values: list[str], **settings: Any) -> None:
    producer = confluent.Producer({"bootstrap.servers": forwarder.bootstrap, "linger.ms": 50, **settings})
    for value in values:
        producer.produce(topic, value=value, key=f"key of {value}", headers={"cause": f"head of {value}"}, partition=0)
    assert producer.flush(PATIENCE_S) == 0


def consume(forwarder: Forwarder, topic: str, count: int, **settings: Any) -> list[str]:
    consumer = confluent.Consumer(
        {
            "bootstrap.servers": forwarder.bootstrap,
            "group.id": f"group of {topic}",
            "auto.offset.reset": "earliest",
            **settings,
        }
    )
    consumer.subscribe([topic])
    values: list[str] = []

    def all_read() -> bool:
        messages = consumer.consume(count - len(values), timeout=0.5)
        values.extend(message.value().decode() for message in messages if message.error() is None)
        return len(values) == count

    with closing(consumer):
        wait_until(all_read, timeout_s=PATIENCE_S, describe=f"{count} records of {topic}")
    return values


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_of_every_compression_are_read(forwarder: Forwarder, topic: str, compression: str) -> None:
    values = [f"value {number} {uuid.uuid4()} " + "x" * 200 for number in range(3)]
    produce(forwarder, topic, values, **{"compression.type": compression})
    assert consume(forwarder, topic, 3) == values
    # A broker that has just started may refuse the first.
    (produced,) = [exchange for exchange in forwarder.events("Produce") if exchange.outcome == "NONE"]
    keys = ",".join(f"key of {value}" for value in values)
    expected = {"topic": topic, "partition": 0, "records": 3, "keys": keys, "compression": compression, "acks": -1}
    assert produced.fields.items() >= expected.items()
    (fetched,) = [exchange for exchange in forwarder.events("Fetch") if exchange.fields.get("records")]
    assert fetched.fields.items() >= {"topic": topic, "partitions": f"{topic}-0", "records": 3, "keys": keys}.items()
    for exchange in (produced, fetched):
        assert all(value.encode() in exchange.content for value in values)
        assert f"head of {values[0]}".encode() in exchange.content


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_groups_are_followed(forwarder: Forwarder, topic: str, protocol: str) -> None:
    produce(forwarder, topic, ["one", "two"])
    assert consume(forwarder, topic, 2, **{"group.protocol": protocol}) == ["one", "two"]
    event = "JoinGroup" if protocol == "classic" else "ConsumerGroupHeartbeat"
    joined = forwarder.events(event)[0]
    assert joined.fields["group"] == f"group of {topic}"
    committed = forwarder.events("OffsetCommit")[-1]
    assert committed.fields.items() >= {"group": f"group of {topic}", "topic": topic, "partition": 0}.items()
    assert committed.fields["member"]
    assert committed.outcome == "NONE"
    (coordinator,) = {exchange.fields["group"] for exchange in forwarder.events("FindCoordinator")}
    assert coordinator == f"group of {topic}"


def test_transactions_commit_and_abort(forwarder: Forwarder, topic: str) -> None:
    identifier = f"transactions of {topic}"
    producer = confluent.Producer({"bootstrap.servers": forwarder.bootstrap, "transactional.id": identifier})
    producer.init_transactions(PATIENCE_S)
    for value, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value=value, partition=0)
        producer.flush(PATIENCE_S)
        end(PATIENCE_S)
    assert consume(forwarder, topic, 1, **{"isolation.level": "read_committed"}) == ["committed"]
    assert [exchange.fields["committed"] for exchange in forwarder.events("EndTxn")] == ["abort", "commit"]
    for event in ("InitProducerId", "AddPartitionsToTxn", "Produce", "EndTxn"):
        assert {exchange.fields.get("transactional_id") for exchange in forwarder.events(event)} <= {identifier}
    assert forwarder.events("InitProducerId")


def test_aiokafka_in_transactions_and_groups(forwarder: Forwarder, topic: str) -> None:
    async def talk() -> list[bytes]:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=forwarder.bootstrap, transactional_id=f"aio of {topic}")
        consumer = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=forwarder.bootstrap,
            group_id=f"group of {topic}",
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        async with producer, consumer:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"first")
            message = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
            async with producer.transaction():
                await producer.send_and_wait(topic, b"second")
                partition = aiokafka.TopicPartition(message.topic, message.partition)
                await producer.send_offsets_to_transaction({partition: message.offset + 1}, f"group of {topic}")
            second = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
            return [message.value, second.value]

    assert asyncio.run(talk()) == [b"first", b"second"]
    assert [exchange.outcome for exchange in forwarder.events("EndTxn")] == ["NONE", "NONE"]
    (offsets,) = forwarder.events("TxnOffsetCommit")
    assert offsets.fields.items() >= {"group": f"group of {topic}", "topics": topic}.items()


@pytest.mark.parametrize("compression", COMPRESSIONS[1:])
def test_aiokafka_s_own_compression_is_read(forwarder: Forwarder, topic: str, compression: str) -> None:
    async def talk() -> None:
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=forwarder.bootstrap, compression_type=compression
        ) as producer:
            await producer.send_and_wait(topic, b"value" * 100, key=b"key", partition=0)

    asyncio.run(talk())
    produced = forwarder.events("Produce")[-1]
    assert produced.fields.items() >= {"records": 1, "key": "key", "compression": compression}.items()
    assert b"value" * 100 in produced.content
    assert consume(forwarder, topic, 1) == ["value" * 100]


def test_unwatched_everything_passes_too(forwarder: Forwarder, topic: str) -> None:
    forwarder.watched = False
    values = [f"{number} " + "x" * 1000 for number in range(2000)]
    produce(forwarder, topic, values)
    assert consume(forwarder, topic, 2000) == values
    assert {exchange.outcome for exchange in forwarder.events("Fetch")} <= {"UNREAD", None}


def test_kafka_python_produces_consumes_and_administers(forwarder: Forwarder) -> None:
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    with closing(kafka.KafkaAdminClient(bootstrap_servers=forwarder.bootstrap)) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        cluster = admin.describe_cluster()
    assert [(broker["host"], broker["port"]) for broker in cluster["brokers"]] == [forwarder.address]
    with closing(kafka.KafkaProducer(bootstrap_servers=forwarder.bootstrap)) as producer:
        producer.send(topic, b"value", key=b"key").get(PATIENCE_S)
    settings = {"group_id": f"group of {topic}", "auto_offset_reset": "earliest"}
    with closing(kafka.KafkaConsumer(topic, bootstrap_servers=forwarder.bootstrap, **settings)) as consumer:
        assert next(iter(consumer)).value == b"value"
    assert forwarder.events("CreateTopics")[0].fields["topics"] == topic
    assert forwarder.events("Produce")[0].fields["keys"] == "key"


def test_a_refused_produce_is_tried_again_and_written_once(forwarder: Forwarder, topic: str) -> None:
    refusals = iter([{"error": "NOT_ENOUGH_REPLICAS"}, {"error": "REQUEST_TIMED_OUT"}])
    forwarder.answer = lambda exchange: next(refusals, None) if exchange.event == "Produce" else None
    produce(forwarder, topic, ["value"], **{"retry.backoff.ms": 10})
    outcomes = [exchange.outcome for exchange in forwarder.events("Produce")]
    assert outcomes == ["NOT_ENOUGH_REPLICAS", "REQUEST_TIMED_OUT", "NONE"]
    assert end_of(forwarder, topic) == 1


REFUSALS = [
    ("FindCoordinator", "COORDINATOR_NOT_AVAILABLE"),
    ("JoinGroup", "NOT_COORDINATOR"),
    ("OffsetFetch", "COORDINATOR_LOAD_IN_PROGRESS"),
    ("Fetch", "KAFKA_STORAGE_ERROR"),
    ("Metadata", "LEADER_NOT_AVAILABLE"),
    ("ListOffsets", "NOT_LEADER_OR_FOLLOWER"),
]


@pytest.mark.parametrize(("event", "error"), REFUSALS)
def test_a_consumer_gets_over_an_error(forwarder: Forwarder, topic: str, event: str, error: str) -> None:
    produce(forwarder, topic, ["value"])
    refusals = iter([{"error": error}])

    def refuse(exchange: Exchange) -> Mapping[str, str | int] | None:
        about_nothing = event in {"Fetch", "Metadata"} and "topic" not in exchange.fields
        return next(refusals, None) if exchange.event == event and not about_nothing else None

    forwarder.exchanges.clear()
    forwarder.answer = refuse
    assert consume(forwarder, topic, 1, **{"topic.metadata.refresh.interval.ms": 100}) == ["value"]
    assert error in [exchange.outcome for exchange in forwarder.events(event)]


@pytest.mark.parametrize(("idempotent", "expected"), [(True, 1), (False, 2)])
def test_a_repeated_produce_is_written_twice_only_without_idempotence(
    forwarder: Forwarder, topic: str, idempotent: bool, expected: int
) -> None:
    forwarder.repeated = lambda exchange: exchange.event == "Produce"
    produce(forwarder, topic, ["value"], **{"enable.idempotence": idempotent})
    assert end_of(forwarder, topic) == expected


def end_of(forwarder: Forwarder, topic: str) -> int:
    consumer = confluent.Consumer({"bootstrap.servers": forwarder.bootstrap, "group.id": "nobody"})
    with closing(consumer):
        _, end = consumer.get_watermark_offsets(confluent.TopicPartition(topic, 0), PATIENCE_S)
        return int(end)


def test_a_client_that_would_learn_another_address_is_cut_off(broker: Broker) -> None:
    elsewhere = Forwarder(broker, known=False)
    with closing(elsewhere), pytest.raises(confluent.KafkaException):
        confluent_admin.AdminClient({"bootstrap.servers": elsewhere.bootstrap}).list_topics(timeout=2)
    assert elsewhere.broken[0] == f"a reply to Metadata names 127.0.0.1:{broker.port}, to which no wire leads"
