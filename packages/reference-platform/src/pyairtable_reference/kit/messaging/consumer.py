"""The consumer: hands every record to its handler until it is handled, and only then moves the group's offset.

A failure that passes (database or another backing away) is repeated without limit, in place, so order is kept. A
record that cannot be handled, at once or after a few attempts, goes unchanged into the dead letters and the rest flows.
Membership is static: a restarted process gets its partitions back at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from pyairtable_reference.kit import logs, metrics
from pyairtable_reference.kit.backoff import Backoff
from pyairtable_reference.kit.database import is_transient
from pyairtable_reference.kit.envelope import DEAD_LETTERS, Record, Unprocessable
from pyairtable_reference.kit.outbox import dead_letter_headers
from pyairtable_reference.kit.relay import Refused, TooLarge, Unreachable

if TYPE_CHECKING:
    from pyairtable_reference.kit.messaging.producer import KafkaTransport

log = logging.getLogger(__name__)

Handler = Callable[[Record], Awaitable[None]]
MAX_ATTEMPTS = 3
LARGE_BYTES = 65_536
"""A smaller value is not what makes a letter too large."""


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Whether this member of a group knows its part."""

    def __init__(self) -> None:
        self.is_known = False

    async def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002 - the protocol's
        self.is_known = False

    async def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002 - the protocol's
        self.is_known = True


class Consumer:
    """One member of a service's consumer group.

    Args:
        handlers: by topic, without prefix. A handler returns when its work is committed.
        longest_retry_s: how long at most before a record is handled again.
    """

    def __init__(
        self,
        bootstrap: str,
        handlers: Mapping[str, Handler],
        transport: KafkaTransport,
        *,
        group: str,
        instance: str,
        topic_prefix: str,
        session_ms: int,
        longest_retry_s: float = 1.0,
    ) -> None:
        self._bootstrap = bootstrap
        self._handlers = handlers
        self._transport = transport
        self._group = group
        self._instance = instance
        self._prefix = topic_prefix
        self._session_ms = session_ms
        self._longest_retry_s = longest_retry_s
        self._membership = _Membership()

    @property
    def assigned(self) -> bool:
        """Whether the group has told this member its part; that is none where it has more members than partitions."""
        return self._membership.is_known

    async def run(self, stopping: asyncio.Event) -> None:
        """Consumes until told to stop; what has been handled by then is committed."""
        backoff = Backoff(0.05, 1.0)
        while not stopping.is_set():
            consumer = self._new_consumer()
            try:
                await consumer.start()
                backoff.reset()
                await self._consume(consumer, stopping)
            except KafkaError as failure:
                log.warning("consumer starts again: %s: %s", type(failure).__name__, failure)
            finally:
                self._membership.is_known = False
                await consumer.stop()
            await backoff.wait(stopping)

    def _new_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._instance,
            group_id=self._group,
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(1000, self._session_ms // 3),
            rebalance_timeout_ms=self._session_ms,
            max_poll_interval_ms=3_600_000,
            fetch_max_wait_ms=500,
            retry_backoff_ms=50,
        )
        consumer.subscribe([self._prefix + topic for topic in self._handlers], listener=self._membership)
        return consumer

    async def _consume(self, consumer: AIOKafkaConsumer, stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                fetch = asyncio.create_task(consumer.getmany(timeout_ms=5000))
                await asyncio.wait({fetch, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not fetch.done():
                    fetch.cancel()
                    return
                for partition, records in fetch.result().items():
                    await self._handle_batch(consumer, partition, records, stopping)
        finally:
            stop.cancel()

    async def _handle_batch(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        records: list[ConsumerRecord],
        stopping: asyncio.Event,
    ) -> None:
        done = None
        for record in records:
            if stopping.is_set() or partition not in consumer.assignment():
                break
            if not await self._handle(record, stopping):
                break
            done = record.offset + 1
        if done is None:
            return
        try:
            await consumer.commit({partition: done})
        except KafkaError as failure:
            log.warning("offset %d of %s not committed, records will come again: %s", done, partition.topic, failure)
        except asyncio.CancelledError:
            _expect_no_commit()
            raise

    async def _handle(self, raw: ConsumerRecord, stopping: asyncio.Event) -> bool:
        """Handles one record to the end; returns false if told to stop before."""
        topic = raw.topic.removeprefix(self._prefix)
        record = Record(topic=topic, key=raw.key, value=raw.value, headers=tuple(raw.headers))
        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0
        with logs.bound(correlation_id=record.header("correlation-id"), tenant_id=record.header("tenant-id")):
            while True:
                try:
                    await self._handlers[topic](record)
                    break
                except Unprocessable as cause:
                    return await self._dead_letter(record, str(cause), attempts + 1, stopping)
                except Exception as failure:
                    attempts += 0 if is_transient(failure) else 1
                    if attempts >= MAX_ATTEMPTS:
                        log.exception("handler of %s failed %d times", topic, attempts)
                        return await self._dead_letter(record, repr(failure), attempts, stopping)
                    log.warning("handling %s is repeated: %s: %s", topic, type(failure).__name__, failure)
                    metrics.RETRIED.labels(topic).inc()
                if await backoff.wait(stopping):
                    return False
        metrics.HANDLED.labels(topic).inc()
        return True

    async def _dead_letter(self, record: Record, cause: str, attempts: int, stopping: asyncio.Event) -> bool:
        extra = dead_letter_headers(record.topic, cause, attempts, self._group.removeprefix(self._prefix))
        headers = [*record.headers, *((name, value.encode()) for name, value in extra.items())]
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                await self._send_letter(record, headers)
            except (Unreachable, Refused) as failure:
                log.warning("dead letter not sent yet: %s", failure)
                if await backoff.wait(stopping):
                    return False
            else:
                log.error("message %s of %s is a dead letter: %s", record.header("message-id"), record.topic, cause)
                metrics.DEAD_LETTERS.labels("consumer").inc()
                return True

    async def _send_letter(self, record: Record, headers: list[tuple[str, bytes | None]]) -> None:
        """What is too large with all that is told of it is sent without its value; that lies where it was."""
        value = record.value or b""
        try:
            await self._transport.send_raw(DEAD_LETTERS, record.key, record.value, headers)
        except TooLarge:
            if len(value) < LARGE_BYTES:
                raise
            left_out = ("dlq-left-out", f"{len(value)} bytes".encode())
            await self._transport.send_raw(DEAD_LETTERS, record.key, None, [*headers, left_out])


def _expect_no_commit() -> None:
    """Retrieves what becomes of commits that nobody waits for any more: aiokafka shields them from cancellation."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == "_do_commit_offsets":
            task.add_done_callback(lambda commit: commit.cancelled() or commit.exception())
