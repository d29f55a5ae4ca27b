"""Faults on real nodes: the toy platform of the native provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic

import psycopg
import pytest
from kafka.errors import KafkaError

from airproof.environment.capabilities import Capabilities, ProcessStatus
from airproof.environment.topology import CellDescription, CellKind
from airproof.errors import FaultNotObserved, FaultUnsupported
from airproof.faults.connections import used_up_connections
from airproof.faults.data.damage import Flip, Truncate
from airproof.faults.data.keys import damaged_key, removed_key
from airproof.faults.data.records import removed_records
from airproof.faults.data.rows import damaged_row, removed_rows
from airproof.faults.data.segments import damaged_log
from airproof.faults.process import slow_start
from airproof.faults.redis_connection import RedisConnection
from airproof.faults.resource import full_disk, short_cpu, short_memory, short_open_files
from airproof.history import History
from airproof.providers.protocol import Provision


@dataclass
class Target:
    description: CellDescription
    capabilities: Capabilities
    history: History = field(default_factory=History)


@pytest.fixture
def leased(provision: Provision) -> Iterator[CellDescription]:
    """A cell for one test: what was short of something for a moment may end later."""
    cell = provision.lease_cell()
    yield cell
    provision.return_cell(cell, reusable=False)


@pytest.fixture
def target(provision: Provision, leased: CellDescription) -> Target:
    return Target(leased, provision.capabilities(leased))


def connect(target: Target) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(target.description.postgres_url("toy"), autocommit=True, connect_timeout=5)


def grow(target: Target) -> None:
    """Makes a table larger than any file may be."""
    with connect(target) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS large (text text)")
        connection.execute("ALTER TABLE large ALTER text SET STORAGE PLAIN")
        connection.execute("INSERT INTO large SELECT repeat('x', 4000) FROM generate_series(1, 1000)")
        connection.execute("DROP TABLE large")


def burn(target: Target) -> float:
    began = monotonic()
    with connect(target) as connection:
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000)")
    return monotonic() - began


def sort_in_memory(target: Target) -> None:
    with connect(target) as connection:
        connection.execute("SET work_mem = '200MB'")
        connection.execute(
            "SELECT array_agg(t ORDER BY t) FROM (SELECT repeat(g::text, 200) t FROM generate_series(1, 60000) g) s"
        )


def test_postgresql_cannot_write_to_a_full_disk_until_it_heals(target: Target) -> None:
    with full_disk(target, "postgres-primary"), pytest.raises(psycopg.Error, match="could not extend file"):
        grow(target)
    with connect(target) as connection:
        connection.execute("DROP TABLE IF EXISTS large")
    grow(target)


def test_postgresql_refuses_one_more_connection_until_it_heals(target: Target) -> None:
    with used_up_connections(target, "postgres-primary") as taken, pytest.raises(psycopg.OperationalError):
        connect(target).close()
    assert taken > 100
    connect(target).close()
    assert not target.history.recording().unhealed()


def test_a_few_connections_are_left(target: Target) -> None:
    with used_up_connections(target, "postgres-primary", leaving=1):
        connect(target).close()


def test_a_service_with_no_files_left_accepts_no_connection(target: Target) -> None:
    with short_open_files(target, "redis") as limit:
        assert "prlimit" in limit.means
    assert not target.history.recording().unhealed()


def test_a_node_short_of_the_processor_is_slow(target: Target) -> None:
    usual = burn(target)
    with ExitStack() as stack:
        try:
            stack.enter_context(short_cpu(target, "postgres-primary", share=0.05))
        except FaultUnsupported as unsupported:
            pytest.skip(f"{unsupported}")
        assert burn(target) > 3 * usual
    (recorded,) = target.history.recording().faults
    assert "throttled" in recorded.healed


def test_a_node_that_wants_more_memory_than_there_is_is_ended(target: Target) -> None:
    with short_memory(target, "postgres-primary", room_bytes=2**22), pytest.raises(psycopg.OperationalError):
        sort_in_memory(target)
    processes = target.capabilities.processes
    assert processes
    if processes.state("postgres-primary").status is ProcessStatus.EXITED:
        processes.start("postgres-primary")


def test_a_service_that_starts_slowly_is_not_ready_until_it_heals(target: Target) -> None:
    with slow_start(target, "greeter") as fault:
        assert fault.state.incarnation > 1
    processes = target.capabilities.processes
    assert processes
    assert processes.state("greeter").status is ProcessStatus.RUNNING


@pytest.fixture
def thing(target: Target) -> str:
    with connect(target) as connection:
        connection.execute("DELETE FROM things")
        connection.execute("INSERT INTO things VALUES ('thing-1'), ('thing-2')")
    return "thing-1"


def things(target: Target) -> list[str]:
    with connect(target) as connection:
        return [str(row[0]) for row in connection.execute("SELECT id FROM things ORDER BY id")]


def test_a_removed_row_is_put_back(target: Target, thing: str) -> None:
    with removed_rows(target, "toy", "things", {"id": thing}) as count:
        assert count == 1
        assert things(target) == ["thing-2"]
    assert things(target) == ["thing-1", "thing-2"]


@pytest.mark.parametrize("damage", [Flip(seed=3), Truncate(4)])
def test_a_damaged_row_is_put_right(target: Target, damage: Flip | Truncate) -> None:
    with connect(target) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, body jsonb, plain text)")
        connection.execute("INSERT INTO notes VALUES (1, '{\"a\": 1}', 'abcdef') ON CONFLICT DO NOTHING")
    with damaged_row(target, "toy", "notes", {"id": 1}, column="plain", damage=damage) as now:
        assert note(target, "plain") == now != "abcdef"
    assert note(target, "plain") == "abcdef"


def test_damage_leaves_json_that_can_be_read(target: Target) -> None:
    with connect(target) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, body jsonb, plain text)")
        connection.execute("INSERT INTO notes VALUES (1, '{\"a\": 1}', 'abcdef') ON CONFLICT DO NOTHING")
    with damaged_row(target, "toy", "notes", {"id": 1}, column="body", damage=Flip(seed=1)) as now:
        assert now != '{"a": 1}'
    with (
        pytest.raises(FaultUnsupported, match="cannot be truncated"),
        damaged_row(target, "toy", "notes", {"id": 1}, column="body", damage=Truncate(3)),
    ):
        pass


def note(target: Target, column: str) -> str:
    with connect(target) as connection:
        row = connection.execute("SELECT plain, body::text FROM notes").fetchone()
        assert row
        return str(row[0 if column == "plain" else 1])


def test_a_row_that_is_not_there_proves_nothing(target: Target) -> None:
    with pytest.raises(FaultNotObserved), removed_rows(target, "toy", "things", {"id": "none"}):
        pass


def test_records_are_removed_from_a_topic(target: Target) -> None:
    from kafka import KafkaProducer

    topic = f"{target.description.topic_prefix}things"
    producer = KafkaProducer(bootstrap_servers=str(target.description.node("kafka").endpoint), acks="all")
    last = [producer.send(topic, b"%d" % number, partition=0) for number in range(5)][-1].get(timeout=10).offset
    producer.close()
    with removed_records(target, topic, before=last) as began:
        assert began == last - 4
    with pytest.raises(FaultNotObserved), removed_records(target, topic, before=last):
        pass


def test_a_record_that_is_damaged_on_the_disk_is_not_read_until_it_heals(provision: Provision) -> None:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    cell = provision.lease_cell(CellKind.PRIVATE_BROKER)
    try:
        target = Target(cell, provision.capabilities(cell))
        bootstrap, topic = str(cell.node("kafka").endpoint), f"{cell.topic_prefix}things"
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        producer.send(topic, b"whole", partition=0).get(timeout=10)
        producer.close()

        def read() -> list[bytes]:
            consumer = KafkaConsumer(
                bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=3000, check_crcs=True
            )
            consumer.assign([TopicPartition(topic, 0)])
            try:
                return [record.value for record in consumer]
            except KafkaError:
                return []
            finally:
                consumer.close()

        with damaged_log(target, topic, Flip(seed=1)):
            assert read() == []
        assert read() == [b"whole"]
    finally:
        provision.return_cell(cell, reusable=False)


def test_a_key_is_removed_and_damaged_and_put_back(target: Target) -> None:
    with RedisConnection(target.description.node("redis").endpoint) as redis:
        redis.ask("SET", "greeting", "hello")
        with removed_key(target, "greeting"):
            assert redis.ask("GET", "greeting") is None
        with damaged_key(target, "greeting", Truncate(2)):
            assert redis.ask("GET", "greeting") == b"he"
        assert redis.ask("GET", "greeting") == b"hello"
    assert not target.history.recording().unhealed()
