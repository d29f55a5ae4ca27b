"""The producer that is replaced while it is asked for something, with one that would never answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

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
