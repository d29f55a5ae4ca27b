"""A consumer of other services' events: each event is handled once, in one transaction with its inbox note."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from pyairtable_reference.kit.envelope import Event, Record, Unprocessable

if TYPE_CHECKING:
    from pyairtable_reference.kit.unit_of_work import UnitOfWork, UnitsOfWork

EventHandler = Callable[["UnitOfWork", Event], Awaitable[None]]


class EventConsumer:
    """Takes events on behalf of a service.

    Args:
        consumer: the name under which the inbox remembers.
        handlers: by event type; None for one that is known and means nothing here.
    """

    def __init__(self, units_of_work: UnitsOfWork, consumer: str, handlers: Mapping[str, EventHandler | None]) -> None:
        self._units_of_work = units_of_work
        self._consumer = consumer
        self._handlers = handlers

    async def handle(self, record: Record) -> None:
        """Handles an event unless it has been handled before.

        Raises:
            Unprocessable: it is no event, or of a type this consumer does not know.
        """
        event = Event.of(record)
        if event.event_type not in self._handlers:
            raise Unprocessable(f"{self._consumer} does not know the event {event.event_type!r}")
        handler = self._handlers[event.event_type]
        if handler is None:
            return
        async with self._units_of_work.begin() as work:
            if await work.inbox.is_new(self._consumer, event.event_id):
                await handler(work, event)
