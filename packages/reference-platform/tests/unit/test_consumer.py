"""The consumer, with aiokafka's own way of committing and a broker that keeps its answer to itself."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata

from pyairtable_reference.kit.envelope import Record
from pyairtable_reference.kit.messaging.consumer import Consumer

PARTITION = TopicPartition("orders", 0)


class SilentBroker:
    """Stands in for aiokafka's client: no request is answered before the connection is closed."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def send(self, *_: object, **__: object) -> Any:
        self.asked.set()
        return await self.answer


class Member:
    """Stands in for AIOKafkaConsumer: one record, and commits as the library does them."""

    def __init__(self, broker: SilentBroker) -> None:
        self._broker = broker
        self._coordinator = coordinator = GroupCoordinator.__new__(GroupCoordinator)
        coordinator._client, coordinator._commit_lock = broker, asyncio.Lock()
        coordinator.coordinator_id, coordinator.group_id = 1, "group"
        coordinator.generation, coordinator.member_id = 1, "member"
        coordinator._coordinator_dead_fut = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        pass

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    async def getmany(self, **_: object) -> dict[TopicPartition, list[ConsumerRecord]]:
        record = ConsumerRecord(*PARTITION, 0, 0, 0, b"key", b"value", None, 3, 5, ())
        return {PARTITION: [record]}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        wanted = {partition: OffsetAndMetadata(offset, "") for partition, offset in offsets.items()}
        await self._coordinator.commit_offsets(None, wanted)

    async def stop(self) -> None:
        self._broker.answer.set_exception(KafkaConnectionError("closed"))


async def handled(_: Record) -> None:
    pass


def test_a_commit_that_is_broken_off_by_the_end_leaves_no_exception_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        broker = SilentBroker()
        nothing: Any = None
        consumer = Consumer(
            "nowhere:1", {"orders": handled}, nothing, group="g", instance="i", topic_prefix="", session_ms=6000
        )
        monkeypatch.setattr(consumer, "_new_consumer", lambda: Member(broker))
        running = asyncio.create_task(consumer.run(asyncio.Event()))
        await asyncio.wait_for(broker.asked.wait(), 5)
        commits = asyncio.all_tasks() - {running, asyncio.current_task()}
        running.cancel()
        await asyncio.wait({running, *commits}, timeout=5)

    asyncio.run(scenario())
    gc.collect()
    assert complaints == []


def test_who_is_told_to_stop_commits_what_was_handled_and_handles_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    committed: list[dict[TopicPartition, int]] = []

    class Busy(Member):
        async def getmany(self, **_: object) -> dict[TopicPartition, list[ConsumerRecord]]:
            return {
                PARTITION: [ConsumerRecord(*PARTITION, at, 0, 0, b"key", b"value", None, 3, 5, ()) for at in range(9)]
            }

        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            committed.append(offsets)

        async def stop(self) -> None:
            pass

    async def scenario() -> None:
        stopping, seen = asyncio.Event(), 0

        async def handle(_: Record) -> None:
            nonlocal seen
            seen += 1
            if seen == 5:
                stopping.set()

        nothing: Any = None
        consumer = Consumer(
            "nowhere:1", {"orders": handle}, nothing, group="g", instance="i", topic_prefix="", session_ms=6000
        )
        monkeypatch.setattr(consumer, "_new_consumer", lambda: Busy(SilentBroker()))
        await asyncio.wait_for(consumer.run(stopping), 5)
        assert (seen, committed) == (5, [{PARTITION: 5}])

    asyncio.run(scenario())


@pytest.mark.parametrize(("failure", "again"), [(KafkaConnectionError("closed"), True), (RuntimeError("a bug"), False)])
def test_a_connection_that_was_closed_beneath_it_is_opened_again_and_a_bug_is_told(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, again: bool
) -> None:
    class Closed(Member):
        async def getmany(self, **_: object) -> dict[TopicPartition, list[ConsumerRecord]]:
            raise failure

        async def stop(self) -> None:
            pass

    async def scenario() -> None:
        stopping, made = asyncio.Event(), 0

        def new_consumer() -> Any:
            nonlocal made
            made += 1
            if made == 2:
                stopping.set()
            return Closed(SilentBroker())

        nothing: Any = None
        consumer = Consumer(
            "nowhere:1", {"orders": handled}, nothing, group="g", instance="i", topic_prefix="", session_ms=6000
        )
        monkeypatch.setattr(consumer, "_new_consumer", new_consumer)
        await asyncio.wait_for(consumer.run(stopping), 5)
        assert made == 2

    if again:
        asyncio.run(scenario())
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            asyncio.run(scenario())
