"""One running service: what it is made of, how it starts in the background and how it stops in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyairtable_reference.kit.backoff import Backoff
from pyairtable_reference.kit.database import answers, is_transient, open_engine
from pyairtable_reference.kit.messaging.consumer import Consumer, Handler
from pyairtable_reference.kit.messaging.producer import KafkaTransport
from pyairtable_reference.kit.outbox import OutboxQueue
from pyairtable_reference.kit.relay import Relay
from pyairtable_reference.kit.unit_of_work import UnitsOfWork

if TYPE_CHECKING:
    from fastapi import APIRouter
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pyairtable_reference.kit.settings import Settings

log = logging.getLogger(__name__)

Worker = Callable[[asyncio.Event], Awaitable[None]]

# Together below the five seconds in which a service has to be gone.
FINISH_S = 1.5
FLUSH_S = 1.0
CLOSE_S = 0.7


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service adds to the kit.

    Attributes:
        application: what its endpoints work with.
        handlers: what it consumes, by topic.
        workers: what else runs until the service stops, by name.
        closing: called at the end.
        apart: what it consumes in groups of their own, by a short name and by topic: what waits there for a backing
            service to come back keeps nothing else waiting.
    """

    application: Any
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    workers: Mapping[str, Worker] = field(default_factory=dict)
    closing: Sequence[Callable[[], Awaitable[None]]] = ()
    apart: Mapping[str, Mapping[str, Handler]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """A service, declared. `assemble` connects nothing; a service without a database has no outbox and no consumer."""

    name: str
    routers: tuple[APIRouter, ...]
    assemble: Callable[[Runtime], Parts]
    has_database: bool = True


class _Backing:
    """Database, broker and what runs between them."""

    def __init__(self, settings: Settings) -> None:
        bootstrap = settings.require("kafka_bootstrap")
        self.engine: AsyncEngine = open_engine(settings.require("database_url"), settings.instance)
        self.transport = KafkaTransport(
            bootstrap, settings.instance, settings.topic_prefix, delivery_timeout_s=settings.delivery_timeout_s
        )
        self.relay = Relay(
            OutboxQueue(self.engine, settings.instance),
            self.transport,
            poll_s=settings.outbox_poll_s,
            max_attempts=settings.outbox_max_attempts,
            retry_s=settings.outbox_retry_s,
        )
        self.units_of_work = UnitsOfWork(self.engine, self.relay.wake)
        self.consumers: dict[str, Consumer] = {}

    def consume(self, settings: Settings, handlers: Mapping[str, Handler], apart: str = "") -> None:
        suffix = f".{apart}" if apart else ""
        self.consumers[f"consumer{suffix}"] = Consumer(
            settings.require("kafka_bootstrap"),
            handlers,
            self.transport,
            group=settings.topic_prefix + settings.service_name + suffix,
            instance=settings.topic_prefix + settings.instance + suffix,
            topic_prefix=settings.topic_prefix,
            session_ms=settings.consumer_session_ms,
            longest_retry_s=settings.consumer_longest_retry_s,
        )


class Runtime:
    """A service at work.

    Attributes:
        settings: its configuration.
        application: what its endpoints work with.

    Raises:
        SettingsError: a setting this service needs is missing.
    """

    def __init__(self, definition: ServiceDefinition, settings: Settings) -> None:
        self.settings = settings
        self._backing = _Backing(settings) if definition.has_database else None
        self._parts = definition.assemble(self)
        self.application = self._parts.application
        if self._backing and self._parts.handlers:
            self._backing.consume(settings, self._parts.handlers)
            for name, handlers in self._parts.apart.items():
                self._backing.consume(settings, handlers, name)
        self._stopping = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._senders: list[asyncio.Task[None]] = []

    @property
    def units_of_work(self) -> UnitsOfWork:
        """Units of work on the service's database.

        Raises:
            RuntimeError: it has none.
        """
        if self._backing is None:
            raise RuntimeError(f"{self.settings.service_name} has no database")
        return self._backing.units_of_work

    def start(self) -> None:
        """Starts everything that runs in the background; returns at once."""
        backing = self._backing
        if backing:
            self._senders = [self._task("producer", backing.transport.run), self._task("relay", backing.relay.run)]
            self._workers += [self._task(name, consumer.run) for name, consumer in backing.consumers.items()]
        self._workers += [self._task(name, worker) for name, worker in self._parts.workers.items()]

    async def stop(self) -> None:
        """Finishes what is in hand, sends what is written, closes everything; never longer than a few seconds."""
        self._stopping.set()
        await _finish(self._workers, FINISH_S)
        if self._backing:
            await self._flush(self._backing)
        await _finish(self._senders, 0)
        for close in self._parts.closing:
            await close()
        if self._backing:
            await self._backing.engine.dispose()
        log.info("stopped")

    async def checks(self) -> dict[str, bool]:
        """What readiness depends on, and whether it is there."""
        backing = self._backing
        if backing is None:
            return {}
        consuming = {name: consumer.assigned for name, consumer in backing.consumers.items()}
        return {"database": await answers(backing.engine), "producer": backing.transport.connected, **consuming}

    async def _flush(self, backing: _Backing) -> None:
        backing.relay.wake()
        try:
            await asyncio.wait_for(backing.relay.flush(), FLUSH_S)
        except TimeoutError:
            log.warning("stopped before the outbox was empty; the next run sends the rest")
        except Exception as failure:
            if not is_transient(failure):
                raise
            log.warning("outbox not flushed: %s", failure)

    def _task(self, name: str, worker: Worker) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep_running(name, worker), name=name)

    async def _keep_running(self, name: str, worker: Worker) -> None:
        """Runs a worker again, however it fails: what it works on waits in the database or on the bus."""
        backoff = Backoff(0.05, 1.0)
        while not self._stopping.is_set():
            try:
                await worker(self._stopping)
            except Exception as failure:
                if is_transient(failure):
                    log.warning("%s starts again: %s", name, failure)
                else:
                    log.exception("%s failed and starts again", name)
            await backoff.wait(self._stopping)


async def _finish(tasks: list[asyncio.Task[None]], timeout_s: float) -> None:
    """Waits for tasks, then cancels what is left and waits for that."""
    if not tasks:
        return
    _, unfinished = await asyncio.wait(tasks, timeout=timeout_s)
    for task in unfinished:
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=CLOSE_S)
