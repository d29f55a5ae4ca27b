"""The producer that is replaced while it is asked for something, with one that would never answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pyairtable_reference.kit.messaging import producer
from pyairtable_reference.kit.messaging.producer import KafkaTransport
from pyairtable_reference.kit.relay import Unreachable


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
