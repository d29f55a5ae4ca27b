"""The relay: sends what the outbox holds, marks it when the broker has acknowledged it, and parks what it refuses."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pyairtable_reference.kit import logs, metrics
from pyairtable_reference.kit.backoff import Backoff, delay_s, pause
from pyairtable_reference.kit.database import is_transient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from pyairtable_reference.kit.envelope import Message
    from pyairtable_reference.kit.outbox import Claimed

log = logging.getLogger(__name__)

LEASE_S = 6.0
RENEWED_FOR_S = 30.0
"""After that another process may send a message: it may reach the broker where this one does not."""
IN_FLIGHT = 64
LONGEST_WAIT_S = 1.0


class Refused(Exception):
    """The broker answered that it does not take this message. The text says why."""


class TooLarge(Refused):
    """It does not take this message because of its size."""


class Unreachable(Exception):
    """The broker did not answer for certain: the message may or may not be there."""


class Transport(Protocol):
    """The way to the broker."""

    async def send(self, message: Message) -> None:
        """Returns when the broker has acknowledged the message.

        Raises:
            Refused: it will not take it.
            Unreachable: nothing is known.
        """
        ...


class Queue(Protocol):
    """The outbox, as `OutboxQueue` has it."""

    async def recover(self) -> None: ...
    async def claim(self, limit: int, lease_s: float) -> list[Claimed]: ...
    async def renew(self, ids: Sequence[UUID], lease_s: float) -> None: ...
    async def published(self, message_id: UUID) -> None: ...
    async def postpone(self, claimed: Claimed, error: str, delay_s: float, *, refused: bool) -> None: ...
    async def park(self, claimed: Claimed, error: str) -> None: ...


class Relay:
    """Sends the outbox of one database, many messages at a time, one at a time per topic and key.

    Args:
        poll_s: how often to look for rows that nobody announced, such as those whose process died.
        max_attempts, retry_s: how often a refused message is tried, and the first wait between; it doubles.
    """

    def __init__(self, queue: Queue, transport: Transport, *, poll_s: float, max_attempts: int, retry_s: float) -> None:
        self._queue = queue
        self._transport = transport
        self._poll_s = poll_s
        self._max_attempts = max_attempts
        self._retry_s = retry_s
        self._news = asyncio.Event()
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._begun: dict[UUID, float] = {}
        self._outages = 0
        self._claims = 0
        self._full = False
        self._renewed_at = 0.0

    def wake(self) -> None:
        """Says that a transaction with messages has just been committed."""
        self._news.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends until told to stop. Where it is run again, what is on its way stays claimed."""
        if not self._sending:
            await self._queue.recover()
        while not stopping.is_set():
            self._news.clear()
            await self.send_due()
            await pause(self._news, self._poll_s)

    async def flush(self) -> None:
        """Sends what is due and returns when nothing is left that could be sent now."""
        while await self.send_due() or self._sending:
            if self._sending:
                await asyncio.wait(self._sending.values(), return_when=asyncio.FIRST_COMPLETED)

    async def send_due(self) -> int:
        """Claims what is due and starts sending it; returns how many messages that were."""
        await self._renew_claims()
        free = IN_FLIGHT - len(self._sending)
        claimed = await self._queue.claim(free, LEASE_S) if free > 0 else []
        claimed = [one for one in claimed if one.message.id not in self._sending]
        self._claims += 1
        self._full = len(claimed) >= free
        for one in claimed:
            with logs.bound(one.message.correlation_id, one.message.tenant_id):
                task = asyncio.create_task(self._deliver(one), name=f"send {one.message.id}")
                task.add_done_callback(partial(self._finished, one, self._claims))
            self._sending[one.message.id] = task
            self._begun[one.message.id] = time.monotonic()
        return len(claimed)

    def _finished(self, claimed: Claimed, claim: int, task: asyncio.Task[None]) -> None:
        """Looks for more if something may have waited: for this message, for a place, or unseen since the claim."""
        message_id = claimed.message.id
        del self._sending[message_id], self._begun[message_id]
        if claimed.followed or self._full or claim != self._claims:
            self._news.set()
        if not task.cancelled() and (bug := task.exception()):
            log.error("message %s could not be relayed", message_id, exc_info=bug)

    async def _renew_claims(self) -> None:
        now = time.monotonic()
        if self._sending and now - self._renewed_at > LEASE_S / 4:
            await self._queue.renew([one for one, at in self._begun.items() if now - at < RENEWED_FOR_S], LEASE_S)
            self._renewed_at = now

    async def _deliver(self, claimed: Claimed) -> None:
        message = claimed.message
        try:
            await self._transport.send(message)
        except Refused as refusal:
            await self._refused(claimed, str(refusal))
        except Unreachable as outage:
            self._outages += 1
            wait_s = delay_s(self._outages, self._retry_s, LONGEST_WAIT_S)
            log.warning("message %s not acknowledged, again in %.1f s: %s", message.id, wait_s, outage)
            await self._postpone(claimed, str(outage), wait_s, refused=False)
        else:
            self._outages = 0
            await self._record(partial(self._queue.published, message.id))
            metrics.PUBLISHED.labels(message.kind).inc()

    async def _refused(self, claimed: Claimed, cause: str) -> None:
        message, attempt = claimed.message, claimed.attempts + 1
        if attempt < self._max_attempts:
            wait_s = delay_s(attempt, self._retry_s, 30.0)
            log.warning("broker refused %s %s, attempt %d: %s", message.type, message.id, attempt, cause)
            await self._postpone(claimed, cause, wait_s, refused=True)
        else:
            log.error("broker refused %s %s %d times, parked: %s", message.type, message.id, attempt, cause)
            await self._record(partial(self._queue.park, claimed, cause))
            metrics.DEAD_LETTERS.labels("outbox").inc()

    async def _postpone(self, claimed: Claimed, cause: str, wait_s: float, *, refused: bool) -> None:
        """Looks again when the message is due, not only at the next poll."""
        await self._record(partial(self._queue.postpone, claimed, cause, wait_s, refused=refused))
        asyncio.get_running_loop().call_later(wait_s, self._news.set)

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes down what became of a message, also when the database is away just then."""
        backoff = Backoff(self._retry_s, LONGEST_WAIT_S)
        while True:
            try:
                return await write()
            except Exception as failure:
                if not is_transient(failure):
                    raise
                log.warning("outcome of a send not recorded yet: %s", failure)
                await pause(asyncio.Event(), backoff.next_delay_s())
