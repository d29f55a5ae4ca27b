"""The producer: sends one message and returns when every in-sync replica has it.

It is idempotent, so a lost acknowledgement that the client repairs itself leaves one record. Each message is a batch
of its own: the broker refuses whole batches, and a message must not be blamed for its neighbour. What is for one
partition takes turns, for the client would take who comes just when a batch has left before those who wait for that.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka
from aiokafka.partitioner import DefaultPartitioner

from pyairtable_reference.kit.backoff import Backoff
from pyairtable_reference.kit.relay import Refused, TooLarge, Unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyairtable_reference.kit.envelope import Message

log = logging.getLogger(__name__)

# What a broker answers about the message or its topic, as opposed to about its own state. What the client has no name
# for is among that: such as that a record is not valid.
_TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)
_REFUSALS = (
    *_TOO_LARGE,
    kafka.InvalidTopicError,
    kafka.InvalidMessageError,
    kafka.TopicAuthorizationFailedError,
    kafka.PolicyViolationError,
    kafka.UnsupportedForMessageFormatError,
    kafka.UnknownError,
)
# What the client recovers from by itself, besides what it calls retriable; after anything else it is replaced.
_PASSING = (kafka.KafkaTimeoutError, kafka.KafkaConnectionError, kafka.NodeNotReadyError)
_LOOK_S = 1.0
_partition_of = DefaultPartitioner()
# Each topic's own limit decides what is too large.
_LARGEST_BYTES = 32 * 1024 * 1024


class KafkaTransport:
    """The way to the broker. Connects in the background and comes back by itself.

    Args:
        delivery_timeout_s: how long a request to a broker may take.
    """

    def __init__(self, bootstrap: str, client_id: str, topic_prefix: str, *, delivery_timeout_s: float) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._prefix = topic_prefix
        self._timeout_s = delivery_timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()
        self._turns = defaultdict[tuple[str, int], asyncio.Lock](asyncio.Lock)

    @property
    def connected(self) -> bool:
        """Whether there is a started producer."""
        return self._producer is not None

    async def run(self, stopping: asyncio.Event) -> None:
        """Keeps a producer running until told to stop."""
        backoff = Backoff(0.05, 1.0)
        while not stopping.is_set():
            self._broken.clear()
            try:
                producer = await self._started()
            except kafka.KafkaError as failure:
                log.warning("no producer yet: %s", failure)
                await backoff.wait(stopping)
                continue
            self._producer = producer
            backoff.reset()
            try:
                await self._broken.wait()
            finally:
                self._producer = None
                await producer.stop()
            log.warning("producer replaced")

    async def send(self, message: Message) -> None:
        """See `Transport.send`."""
        try:
            headers = [(name, value.encode()) for name, value in message.headers.items()]
            value = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
        except (AttributeError, TypeError, ValueError) as wrong:
            raise Refused(f"no record can be made of it: {wrong}") from wrong
        await self.send_raw(message.topic, message.key.encode(), value, headers)

    async def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> None:
        """Sends bytes as they are; otherwise like `send`."""
        producer = self._producer
        if producer is None:
            raise Unreachable("no connection to the broker")
        name = self._prefix + topic
        try:
            await self._refuse_if_missing(producer, name)
            partitions = sorted(producer.client.cluster.partitions_for_topic(name))
            partition = _partition_of(key, partitions, partitions)
            async with self._turns[name, partition]:
                acknowledged = await producer.send(name, value, key, partition, headers=list(headers))
            await self._acknowledgement(producer, name, acknowledged)
        except _REFUSALS as refusal:
            kind = TooLarge if isinstance(refusal, _TOO_LARGE) else Refused
            raise kind(f"{type(refusal).__name__}: {refusal}") from refusal
        except kafka.KafkaError as failure:
            if not (getattr(failure, "retriable", False) or isinstance(failure, _PASSING)):
                self._broken.set()
            raise Unreachable(f"{type(failure).__name__}: {failure}") from failure

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            enable_idempotence=True,
            acks="all",
            max_batch_size=1,
            max_request_size=_LARGEST_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
            retry_backoff_ms=50,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _acknowledgement(
        self, producer: AIOKafkaProducer, topic: str, acknowledged: asyncio.Future[object]
    ) -> None:
        """Waits as long as it takes: an idempotent producer repeats by itself, in order and without duplicates.

        Only a topic that was deleted meanwhile would be waited for in vain.
        """
        while not await self._comes(producer, acknowledged):
            await self._refuse_if_missing(producer, topic)
        await acknowledged

    async def _comes(self, producer: AIOKafkaProducer, awaited: asyncio.Future[Any]) -> bool:
        """Waits for a while for what a producer gives; after one that was replaced it would be waited for in vain."""
        done, _ = await asyncio.wait({awaited}, timeout=_LOOK_S)
        if not done and self._producer is not producer:
            raise Unreachable("the producer was replaced")
        return bool(done)

    async def _refuse_if_missing(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Refuses a topic that a broker which answers does not know; has the producer learn of any other.

        A producer that is stopped over that would never come back from it.
        """
        if producer.client.cluster.partitions_for_topic(topic):
            return
        known = await producer.client.fetch_all_metadata()
        if topic not in known.topics():
            raise Refused(f"topic {topic} does not exist")
        learning = asyncio.ensure_future(producer.partitions_for(topic))
        try:
            while not await self._comes(producer, learning):
                continue
            learning.result()
        finally:
            learning.cancel()
