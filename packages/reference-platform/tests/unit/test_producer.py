"""The producer: replaced while it is asked for something, and what it makes of a broker's answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka

from pyairtable_reference.kit.messaging import producer
from pyairtable_reference.kit.messaging.producer import KafkaTransport
from pyairtable_reference.kit.outbox import dead_letter_copy, dead_letter_headers
from pyairtable_reference.kit.relay import Refused, Unreachable

from .test_envelope import make_command


class Stuck:
    """Stands in for AIOKafkaProducer: the broker knows the topic, and the producer does not come to know it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.client = self
        self.cluster = SimpleNamespace(partitions_for_topic=lambda _: None)

    async def fetch_all_metadata(self) -> Any:
        return SimpleNamespace(topics=lambda: {"orders"})

    async def partitions_for(self, _: str) -> None:
        self.asked.set()
        await asyncio.Event().wait()


def test_what_a_replaced_producer_was_about_to_send_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "_LOOK_S", 0.01)

    async def replaced_while_it_sends() -> None:
        stuck, transport = Stuck(), KafkaTransport("nowhere", "orders-1", "", delivery_timeout_s=1)
        transport._producer = stuck
        sending = asyncio.create_task(transport.send_raw("orders", b"1", b"", []))
        await stuck.asked.wait()
        transport._producer = None
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable, match="replaced"):
                await sending

    asyncio.run(replaced_while_it_sends())


def test_a_message_of_which_no_record_can_be_made_is_refused() -> None:
    message = make_command().message("user-service", "test")
    unsendable = replace(message, headers={**message.headers, "source": None})  # type: ignore[dict-item]
    with pytest.raises(Refused, match="no record"):
        asyncio.run(KafkaTransport("nowhere", "orders-1", "", delivery_timeout_s=1).send(unsendable))
    letter = dead_letter_copy(unsendable, "no record", 3)
    assert letter.headers == {
        **{name: value for name, value in message.headers.items() if name != "source"},
        **dead_letter_headers(message.topic, "no record", 3, ""),
    }


class Refusing:
    """Stands in for AIOKafkaProducer: the broker answers with an error."""

    def __init__(self, error: kafka.KafkaError) -> None:
        self.client = self
        self.cluster = SimpleNamespace(partitions_for_topic=lambda _: {0})
        self._error = error

    async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(self._error)
        return answer


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kafka.MessageSizeTooLargeError(), Refused),
        (kafka.TopicAuthorizationFailedError(), Refused),
        (kafka.UnknownError(), Refused),
        (kafka.NotLeaderForPartitionError(), Unreachable),
        (kafka.OutOfOrderSequenceNumber(), Unreachable),
    ],
)
def test_what_the_broker_answers_is_about_the_message_or_not(
    error: kafka.KafkaError, expected: type[Exception]
) -> None:
    transport = KafkaTransport("nowhere", "orders-1", "", delivery_timeout_s=1)

    async def send() -> None:
        transport._producer = Refusing(error)
        await transport.send(make_command().message("user-service", "test"))

    with pytest.raises(expected):
        asyncio.run(send())


class Full:
    """Stands in for AIOKafkaProducer: it takes one message at a time, whoever of those who wait comes first."""

    def __init__(self) -> None:
        self.client = self
        self.cluster = SimpleNamespace(partitions_for_topic=lambda _: {0})
        self.taken: list[bytes] = []
        self._took = asyncio.Event()
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left.set_result(None)

    async def send(self, _: str, value: bytes, *__: object, **___: object) -> asyncio.Future[None]:
        while not self._left.done():
            await asyncio.wait({self._left})
        self._left = asyncio.get_running_loop().create_future()
        self._took.set()
        self.taken.append(value)
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged

    async def leave(self) -> None:
        """What was taken leaves for the broker."""
        await self._took.wait()
        self._took.clear()
        self._left.set_result(None)


def test_what_comes_when_another_has_just_left_is_not_sent_before_what_waits() -> None:
    async def send_in_turn() -> list[bytes]:
        transport = KafkaTransport("nowhere", "orders-1", "", delivery_timeout_s=1)
        transport._producer = full = Full()
        async with asyncio.timeout(5), asyncio.TaskGroup() as sends:
            for value in (b"1", b"2", b"3"):
                sends.create_task(transport.send_raw("orders", b"key", value, []))
            await full.leave()
            sends.create_task(transport.send_raw("orders", b"key", b"4", []))
            for _ in range(2):
                await full.leave()
        return full.taken

    assert asyncio.run(send_in_turn()) == [b"1", b"2", b"3", b"4"]
