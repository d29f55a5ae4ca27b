"""The lines of the table: which load, over which protocol, in which unit."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from airproof.environment.topology import Endpoint
from airproof.providers.native.postgres import SUPERUSER
from benchmarks import wires_kafka
from benchmarks.measure import MEGABYTES_PER_SECOND, PER_SECOND, SECONDS, Unit
from benchmarks.wires_clients import PING, closed_rate, connected, open_postgres, paced_latencies

DURATION_S = 1
PACE = 500
PACED_S = 3.0
COMMAND_TIMEOUT_S = 120.0
HTTP_TARGET = 4_000.0
KAFKA_TARGET = 100.0
REDIS_REQUESTS = {1: 15_000, 50: 60_000}
GET = b"GET /orders HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n"
REDIS_COMMANDS = {
    "GET": b"*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n",
    "SET": b"*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nxxx\r\n",
}

Load = Callable[[Endpoint], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Line:
    """A load and what it measures.

    Attributes:
        names: of the figures that one run of it gives, in order.
        target: what the wires have to reach besides being as good as others.
    """

    names: tuple[str, ...]
    protocol: str
    unit: Unit
    load: Load
    target: float | None = None


def lines(pgbench: str, broker: Endpoint) -> Iterator[Line]:
    """All of them. Topics of Kafka are made directly at the broker."""
    for clients in (1, 8):
        if pgbench:
            name = f"PostgreSQL: pgbench -S -M prepared, {clients} client{'s' * (clients > 1)}"
            yield Line((name,), "postgres", PER_SECOND, partial(pgbench_rate, pgbench, clients))
    for clients in (1, 50):
        for command in REDIS_COMMANDS:
            name = f"Redis: {command}, {clients} client{'s' * (clients > 1)}"
            yield Line((name,), "redis", PER_SECOND, partial(redis_rate, command, clients))
    for connections in (1, 32):
        name = f"HTTP: GET, keep-alive, {connections} connection{'s' * (connections > 1)}"
        yield Line((name,), "http", PER_SECOND, partial(http_rate, connections), HTTP_TARGET)
    yield from kafka_lines(broker)
    if pgbench:
        names = ("PostgreSQL: SELECT at 500/s, p50", "PostgreSQL: SELECT at 500/s, p99")
        yield Line(names, "postgres", SECONDS, postgres_latency)
    yield Line(("Redis: PING at 500/s, p50", "Redis: PING at 500/s, p99"), "redis", SECONDS, redis_latency)


def kafka_lines(broker: Endpoint) -> Iterator[Line]:
    """Produce, each run to a topic of its own, and Fetch from one that is filled once."""
    batch = wires_kafka.make_batch()
    records = wires_kafka.records_in(batch)
    topics = wires_kafka.Topics(broker)
    numbers = count()

    def produce(endpoint: Endpoint) -> Sequence[float]:
        topic = f"bench-{next(numbers)}"
        topics.create(topic)
        try:
            return [wires_kafka.produce_rate(endpoint, topic, batch)]
        finally:
            topics.delete(topic)

    def fetch(endpoint: Endpoint) -> Sequence[float]:
        return [wires_kafka.fetch_rate(endpoint, "bench-kept", batch, records)]

    try:
        yield Line(("Kafka: Produce",), "kafka", MEGABYTES_PER_SECOND, produce, KAFKA_TARGET)
        topics.create("bench-kept")
        wires_kafka.produce_rate(broker, "bench-kept", batch, wires_kafka.KEPT_BATCHES)
        yield Line(("Kafka: Fetch",), "kafka", MEGABYTES_PER_SECOND, fetch, KAFKA_TARGET)
    finally:
        topics.close()


def pgbench_rate(program: str, clients: int, endpoint: Endpoint) -> Sequence[float]:
    """Statements a second."""
    address = ["-h", endpoint.host, "-p", str(endpoint.port), "-U", SUPERUSER]
    said = _run(program, *address, "-n", "-S", "-M", "prepared", "-c", str(clients), "-T", str(DURATION_S), "postgres")
    return [_number(r"tps = ([0-9.]+) \(without", said)]


def redis_rate(command: str, clients: int, endpoint: Endpoint) -> Sequence[float]:
    """Commands a second, by redis-benchmark or valkey-benchmark if there is one."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        return [closed_rate(endpoint, REDIS_COMMANDS[command], clients, DURATION_S)]
    amount = ["-c", str(clients), "-n", str(REDIS_REQUESTS[clients]), "-t", command.lower()]
    said = _run(program, "-h", endpoint.host, "-p", str(endpoint.port), *amount, "--csv")
    return [_number(rf'"{command}","([0-9.]+)"', said)]


def http_rate(connections: int, endpoint: Endpoint) -> Sequence[float]:
    """Requests a second, by wrk if it is installed."""
    program = shutil.which("wrk")
    if program is None:
        return [closed_rate(endpoint, GET, connections, DURATION_S)]
    said = _run(program, "-t1", f"-c{connections}", f"-d{DURATION_S}s", f"http://{endpoint}/orders")
    if "Non-2xx" in said or "Socket errors" in said:
        raise ValueError(f"requests to {endpoint} failed: {said}")
    return [_number(r"Requests/sec:\s+([0-9.]+)", said)]


def postgres_latency(endpoint: Endpoint) -> Sequence[float]:
    """p50 and p99 of a prepared SELECT, in seconds from its intended start."""
    with connected(endpoint) as sock:
        return _percentiles(paced_latencies(sock, open_postgres(sock), PACE, PACED_S))


def redis_latency(endpoint: Endpoint) -> Sequence[float]:
    """p50 and p99 of a PING, in seconds from its intended start."""
    with connected(endpoint) as sock:
        return _percentiles(paced_latencies(sock, PING, PACE, PACED_S))


def _percentiles(ordered: list[float]) -> Sequence[float]:
    return [ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S).stdout


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise ValueError(f"no {pattern!r} in what the load generator said: {said!r}")
    return float(found[1])
