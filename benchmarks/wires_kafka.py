"""Kafka's Produce and Fetch as raw frames, several in flight, so that what is measured is the way and not the client.

Frames rather than a client library: a library would learn the broker's own address and go past Toxiproxy.
"""

from __future__ import annotations

import os
import socket
import struct
import time

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.record.default_records import DefaultRecordBatchBuilder

from airproof.environment.topology import Endpoint
from benchmarks.wires_clients import connected, receive

PRODUCE, FETCH = (0, 7), (1, 4)
RECORD_BYTES = 1000
BATCH_BYTES = 900_000
BATCHES = 96
"""How many a run produces or fetches: 86 MB."""
KEPT_BATCHES = 32
IN_FLIGHT = 4


def make_batch() -> bytes:
    """A batch of records of a kilobyte, not compressed."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, BATCH_BYTES)
    now, offset = int(time.time() * 1000), 0
    value = os.urandom(RECORD_BYTES)
    while builder.append(offset, timestamp=now, key=b"%08d" % offset, value=value, headers=[]) is not None:
        offset += 1
    return bytes(builder.build())


class Topics:
    """Topics with one partition each; deleted when they are not needed, for memory is where the broker keeps them."""

    def __init__(self, broker: Endpoint) -> None:
        self._admin = KafkaAdminClient(bootstrap_servers=str(broker))

    def create(self, name: str) -> None:
        """Makes one."""
        self._admin.create_topics([NewTopic(name, 1, 1)])

    def delete(self, name: str) -> None:
        """Removes one."""
        self._admin.delete_topics([name])

    def close(self) -> None:
        """Closes the connection to the broker."""
        self._admin.close()


def produce_rate(endpoint: Endpoint, topic: str, batch: bytes, batches: int = BATCHES) -> float:
    """Megabytes a second, acknowledged by the leader.

    Raises:
        ConnectionError: the broker refused a batch.
    """
    body = struct.pack(">hhii", -1, 1, 30_000, 1) + _text(topic) + struct.pack(">iii", 1, 0, len(batch))
    frame = _frame(PRODUCE, body + batch)
    with connected(endpoint) as sock:
        began = time.perf_counter()
        for number in range(batches + IN_FLIGHT):
            if number >= IN_FLIGHT:
                _demand_accepted(_answer(sock), topic)
            if number < batches:
                sock.sendall(frame)
        return batches * len(batch) / 1e6 / (time.perf_counter() - began)


def fetch_rate(endpoint: Endpoint, topic: str, batch: bytes, records: int) -> float:
    """Megabytes a second of a topic that holds `KEPT_BATCHES` batches of so many records, read again and again.

    Raises:
        ConnectionError: the broker did not answer with a batch.
    """
    with connected(endpoint) as sock:
        began = time.perf_counter()
        received = 0
        for number in range(BATCHES + IN_FLIGHT):
            if number >= IN_FLIGHT:
                received += len(_answer(sock))
            if number < BATCHES:
                sock.sendall(_fetch(topic, number % KEPT_BATCHES * records, len(batch)))
        elapsed_s = time.perf_counter() - began
    if received < BATCHES * len(batch):
        raise ConnectionError(f"{BATCHES} fetches of {topic!r} gave {received} bytes; the topic holds too little")
    return received / 1e6 / elapsed_s


def records_in(batch: bytes) -> int:
    """How many records a batch has, by its last offset delta."""
    delta: int = struct.unpack_from(">i", batch, 23)[0]
    return delta + 1


def _fetch(topic: str, offset: int, size: int) -> bytes:
    body = struct.pack(">iiiibi", -1, 500, 1, size, 0, 1) + _text(topic) + struct.pack(">iiqi", 1, 0, offset, size)
    return _frame(FETCH, body)


def _frame(api: tuple[int, int], body: bytes) -> bytes:
    head = struct.pack(">hhi", *api, 1) + _text("bench")
    return struct.pack(">i", len(head) + len(body)) + head + body


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _answer(sock: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", receive(sock, 4))
    return receive(sock, size)


def _demand_accepted(answer: bytes, topic: str) -> None:
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    if error:
        raise ConnectionError(f"the broker refused a batch to {topic!r} with error {error}")
