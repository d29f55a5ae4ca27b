"""Every record of a cell's bus, read in the background: what waits for a message waits here."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.observation import BusMessage
from airproof_pyairtable.connecting import CONNECTING
from airproof_pyairtable.manifest import DEAD_LETTERS
from airproof_pyairtable.records import read_record

FENCE_TIMEOUT_S = 20.0
Place = tuple[str, int, int]


class RecordLog:
    """Every record of the cell's topics from the moment of its making, read in the background.

    Waiters wake when a record arrives.
    """

    def __init__(self, bootstrap: str, prefix: str, begin: dict[TopicPartition, int]) -> None:
        self._prefix = prefix
        self._partitions = Counter(partition.topic for partition in begin)
        self._changed = threading.Condition()
        self._read_to = dict(begin)
        self._by_correlation: dict[str, list[BusMessage]] = defaultdict(list)
        self._by_saga: dict[str, list[BusMessage]] = defaultdict(list)
        self._by_tenant: dict[str, list[BusMessage]] = defaultdict(list)
        self._raw: dict[Place, ConsumerRecord] = {}
        self._injected: set[Place] = set()
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=200, **CONNECTING
        )
        self._consumer.assign(list(begin))
        for partition, offset in begin.items():
            self._consumer.seek(partition, offset)
        self._thread = threading.Thread(target=self._read, name="airproof-bus", daemon=True)
        self._thread.start()

    def mark_injected(self, place: Place) -> None:
        """Remembers that the harness itself produced the record at that place."""
        with self._changed:
            self._injected.add(place)

    def raw(self, message: BusMessage) -> ConsumerRecord:
        """The record that the message was read from."""
        return self._raw[self._place(message)]

    def wait(self, condition: Callable[[], BusMessage | None], timeout_s: float, describe: str) -> BusMessage:
        """Waits until the condition, asked again with every record, gives a message.

        Raises:
            WaitTimeout: it gave none.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: self._failure or condition(), timeout_s)
        if isinstance(found, BusMessage):
            return found
        self._raise_failure()
        raise WaitTimeout(f"waited {timeout_s:g} s for {describe} on the bus", timeout_s=timeout_s)

    def wait_read(self, ends: dict[TopicPartition, int]) -> None:
        """Waits until everything before those offsets has been read."""

        def behind() -> list[TopicPartition]:
            return [partition for partition, end in ends.items() if self._read_to.get(partition, 0) < end]

        with self._changed:
            self._changed.wait_for(lambda: self._failure or not behind(), FENCE_TIMEOUT_S)
            left = behind()
        self._raise_failure()
        if left:
            raise WaitTimeout(f"waited {FENCE_TIMEOUT_S:g} s to read the bus to its end; behind on {left}", last=left)

    def of_correlation(self, correlation_id: str) -> list[BusMessage]:
        """The records with that correlation id, in order per partition."""
        return self._marked(self._by_correlation, [correlation_id])

    def of(self, tenant_id: str, saga_ids: Iterable[str], correlation_ids: Iterable[str]) -> list[BusMessage]:
        """The records that name the tenant, one of the sagas or one of the correlation ids, in order per partition."""
        with self._changed:
            found = {
                self._place(message): message
                for messages in (
                    self._marked(self._by_tenant, [tenant_id]),
                    self._marked(self._by_saga, saga_ids),
                    self._marked(self._by_correlation, correlation_ids),
                )
                for message in messages
            }
        return [found[place] for place in sorted(found)]

    def dead_letters(self) -> list[BusMessage]:
        """The records among the dead letters."""
        with self._changed:
            return [read_record(raw, self._prefix) for (topic, _, _), raw in self._raw.items() if topic == DEAD_LETTERS]

    def close(self) -> None:
        """Ends the reading."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self._consumer.close()

    def _marked(self, index: dict[str, list[BusMessage]], keys: Iterable[str]) -> list[BusMessage]:
        with self._changed:
            messages = [message for key in keys if key for message in index.get(key, ())]
        return [
            replace(message, injected=True) if self._place(message) in self._injected else message
            for message in messages
        ]

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                self._keep(self._consumer.poll(timeout_ms=100))
        except BaseException as failure:  # noqa: BLE001  handed to whoever waits
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _keep(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        if not batches:
            return
        with self._changed:
            for partition, records in batches.items():
                for record in records:
                    message = read_record(record, self._prefix, self._partitions[partition.topic])
                    self._raw[self._place(message)] = record
                    self._by_tenant[message.tenant_id].append(message)
                    self._by_saga[message.saga_id].append(message)
                    self._by_correlation[message.correlation_id].append(message)
                self._read_to[partition] = self._consumer.position(partition)
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure:
            raise PlatformError(f"reading the bus failed: {self._failure!r}") from self._failure

    @staticmethod
    def _place(message: BusMessage) -> Place:
        return (message.topic, message.partition, message.offset)
