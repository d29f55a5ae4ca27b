"""The relay, with an outbox and a broker that live in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from pyairtable_reference.kit import relay
from pyairtable_reference.kit.envelope import Message
from pyairtable_reference.kit.outbox import Claimed, dead_letter_copy
from pyairtable_reference.kit.relay import Refused, Relay, Unreachable

from .test_envelope import make_command


class FakeQueue:
    """Rows by id: ready, claimed, published or parked; plus what was said about them."""

    def __init__(self, *messages: Message) -> None:
        self.ready = [Claimed(message) for message in messages]
        self.published_ids: list[UUID] = []
        self.parked: list[tuple[UUID, str]] = []
        self.postponed: list[tuple[int, float, bool]] = []
        self.renewed = 0
        self.recovered = False
        self.failures = 0

    async def recover(self) -> None:
        self.recovered = True

    async def claim(self, limit: int, lease_s: float) -> list[Claimed]:
        claimed, self.ready = self.ready[:limit], self.ready[limit:]
        return claimed

    async def renew(self, ids: Sequence[UUID], lease_s: float) -> None:
        self.renewed += len(ids)

    async def published(self, message_id: UUID) -> None:
        if self.failures:
            self.failures -= 1
            raise OperationalError("update", {}, OSError("database away"))
        self.published_ids.append(message_id)

    async def postpone(self, claimed: Claimed, error: str, delay_s: float, *, refused: bool) -> None:
        self.postponed.append((claimed.attempts, delay_s, refused))
        self.ready.append(replace(claimed, attempts=claimed.attempts + int(refused)))

    async def park(self, claimed: Claimed, error: str) -> None:
        self.parked.append((claimed.message.id, error))


class FakeBroker:
    """Fails as told, then acknowledges."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[UUID] = []

    async def send(self, message: Message) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(message.id)


def message(step: str = "create_profile") -> Message:
    command = make_command(step=step)
    return command.message("user-service", "test")


def make_relay(queue: FakeQueue, broker: Any) -> Relay:
    return Relay(queue, broker, poll_s=0.01, max_attempts=3, retry_s=0.001)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 5))


def test_a_message_is_published_only_after_its_acknowledgement() -> None:
    class SlowBroker(FakeBroker):
        acknowledge: asyncio.Event

        async def send(self, message: Message) -> None:
            await self.acknowledge.wait()

    queue, broker = FakeQueue(message()), SlowBroker()

    async def scenario() -> None:
        broker.acknowledge = asyncio.Event()
        relay = make_relay(queue, broker)
        await relay.send_due()
        await asyncio.wait_for(asyncio.gather(relay.send_due()), 1)
        assert queue.published_ids == []
        broker.acknowledge.set()
        await relay.flush()

    run(scenario())
    assert queue.published_ids == [message().id]


def test_what_is_on_its_way_stays_claimed_when_the_relay_is_run_again() -> None:
    class HangingBroker(FakeBroker):
        async def send(self, message: Message) -> None:
            await asyncio.Event().wait()

    queue = FakeQueue(message())

    async def scenario() -> None:
        relay, stopping = make_relay(queue, HangingBroker()), asyncio.Event()
        await relay.send_due()
        stopping.set()
        await relay.run(stopping)
        assert not queue.recovered

    run(scenario())


def test_an_outage_is_waited_out_and_not_counted() -> None:
    queue, broker = FakeQueue(message()), FakeBroker(*[Unreachable("away")] * 10)
    run(make_relay(queue, broker).flush())
    assert broker.sent == [message().id]
    assert [(attempts, refused) for attempts, _, refused in queue.postponed] == [(0, False)] * 10
    assert queue.parked == []


def test_a_postponed_message_goes_when_it_is_due_and_waits_for_no_poll() -> None:
    class AnsweringQueue(FakeQueue):
        done: asyncio.Event

        async def published(self, message_id: UUID) -> None:
            await super().published(message_id)
            self.done.set()

    queue, broker = AnsweringQueue(message()), FakeBroker(Unreachable("away"), Refused("not now"))

    async def scenario() -> None:
        queue.done, stopping = asyncio.Event(), asyncio.Event()
        relay = Relay(queue, broker, poll_s=60, max_attempts=3, retry_s=0.001)
        running = asyncio.create_task(relay.run(stopping))
        await queue.done.wait()
        stopping.set()
        relay.wake()
        await running

    run(scenario())
    assert broker.sent == queue.published_ids == [message().id]


def test_a_refused_message_is_parked_after_the_last_attempt_and_the_others_flow() -> None:
    class PickyBroker(FakeBroker):
        async def send(self, message: Message) -> None:
            if message.type.startswith("bad"):
                raise Refused("too large")
            await super().send(message)

    good, bad = message("good"), message("bad")
    queue, broker = FakeQueue(bad, good), PickyBroker()
    run(make_relay(queue, broker).flush())
    assert queue.parked == [(bad.id, "too large")]
    assert queue.published_ids == [good.id]
    assert [(attempts, refused) for attempts, _, refused in queue.postponed] == [(0, True), (1, True)]


def test_a_message_that_cannot_be_read_is_parked_and_the_others_flow() -> None:
    class PickyBroker(FakeBroker):
        async def send(self, message: Message) -> None:
            if not isinstance(message.headers, dict):
                raise Refused("no record can be made of it")
            await super().send(message)

    stored: Any = ["no", "headers"]
    good, bad = message("good"), replace(message("bad"), headers=stored)
    queue = FakeQueue(bad, good)
    run(make_relay(queue, PickyBroker()).flush())
    assert (queue.parked, queue.published_ids) == ([(bad.id, "no record can be made of it")], [good.id])
    assert dead_letter_copy(bad, "no record can be made of it", 3).headers.keys() >= {"dlq-cause", "dlq-topic"}


def test_what_is_on_its_way_for_very_long_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LEASE_S", 0.0)
    queue, sent = FakeQueue(message()), asyncio.Event()

    class Silent(FakeBroker):
        async def send(self, message: Message) -> None:
            await sent.wait()

    async def scenario() -> None:
        slow = make_relay(queue, Silent())
        for _ in range(2):
            await slow.send_due()
        assert queue.renewed == 1
        monkeypatch.setattr(relay, "RENEWED_FOR_S", 0.0)
        await slow.send_due()
        assert queue.renewed == 1
        sent.set()
        await slow.flush()

    run(scenario())
    assert queue.published_ids == [message().id]


def test_an_acknowledgement_is_not_forgotten_when_the_database_is_away() -> None:
    queue, broker = FakeQueue(message()), FakeBroker()
    queue.failures = 3
    run(make_relay(queue, broker).flush())
    assert broker.sent == queue.published_ids == [message().id]


def test_claims_of_an_earlier_run_are_recovered_first() -> None:
    queue = FakeQueue()

    async def scenario() -> None:
        stopping = asyncio.Event()
        relay = make_relay(queue, FakeBroker())
        running = asyncio.create_task(relay.run(stopping))
        while not queue.recovered:
            await asyncio.wait({running}, timeout=0.001)
        stopping.set()
        relay.wake()
        await running

    run(scenario())
    assert queue.recovered


def test_a_dead_letter_is_the_original_and_a_few_headers_more() -> None:
    original = message()
    copy = dead_letter_copy(original, "too large", 3)
    assert (copy.payload, copy.key, copy.topic) == (original.payload, original.key, "pyairtable.dlq.events")
    assert copy.headers.items() >= original.headers.items()
    assert copy.headers["dlq-topic"] == original.topic
    assert copy.headers["dlq-attempts"] == "3"
    assert copy.id == dead_letter_copy(original, "again", 4).id != original.id
