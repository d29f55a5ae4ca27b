"""The orchestrator's use cases: start a saga, take replies, fire timers. Each is one transaction.

A saga's change, the messages it sends and the timer that follows stand in the same transaction, so a crash loses none
and doubles none. A restarted orchestrator finds its timers in the database and the replies behind its group's offset.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from pyairtable_reference.kit import logs, metrics
from pyairtable_reference.kit.backoff import pause
from pyairtable_reference.kit.database import is_transient
from pyairtable_reference.kit.envelope import Action, Command, Message, Record, Reply, Unprocessable, command_id
from pyairtable_reference.kit.event_store import Cause, Fact
from pyairtable_reference.kit.saga.machine import Answer, Effects, Saga, SagaMachine, SagaState, Step
from pyairtable_reference.kit.saga.store import SagaStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyairtable_reference.kit.saga.definition import SagaDefinition
    from pyairtable_reference.kit.unit_of_work import UnitOfWork, UnitsOfWork

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 1.0
BUSY_SLEEP_S = 0.1
BATCH = 50
_NEVER = datetime.max.replace(tzinfo=UTC)


class UnknownSagaType(Exception):
    """There is no such saga."""


class IncompleteInput(Exception):
    """The input lacks fields the saga needs, or has others."""


class DifferentRequest(Exception):
    """The correlation id belongs to another request already."""


@dataclass(frozen=True, slots=True)
class Start:
    """A request to start a saga; the same correlation id is the same request."""

    saga_type: str
    tenant_id: str
    correlation_id: str
    input: dict[str, Any]
    deadline_s: float


class Orchestrator:
    """Drives all sagas of the given kinds.

    Args:
        resend_s: how long a command may stay unanswered before it is sent again.
        retry_s: how long a saga is left alone that could not be moved when its timer ran out.
    """

    def __init__(
        self,
        units_of_work: UnitsOfWork,
        service: str,
        definitions: Iterable[SagaDefinition],
        *,
        resend_s: float,
        retry_s: float,
    ) -> None:
        self._units_of_work = units_of_work
        self._service = service
        self._machines = {definition.name: SagaMachine(definition, resend_s) for definition in definitions}
        self._timer_set = asyncio.Event()
        self._awake_at = _NEVER
        self._retry = timedelta(seconds=retry_s)
        self._broken: dict[UUID, datetime] = {}

    async def start(self, start: Start) -> Saga:
        """Starts a saga, or finds the one that the same request has started.

        Raises:
            UnknownSagaType, IncompleteInput, DifferentRequest: the request is wrong.
        """
        machine = self._machines.get(start.saga_type)
        if machine is None:
            raise UnknownSagaType(f"there is no saga {start.saga_type!r}")
        if machine.definition.input_fields != start.input.keys():
            raise IncompleteInput(f"the input must have the fields {sorted(machine.definition.input_fields)}")
        now = datetime.now(UTC)
        saga = Saga(
            id=uuid4(),
            saga_type=start.saga_type,
            tenant_id=start.tenant_id,
            correlation_id=start.correlation_id,
            input=start.input,
            deadline_at=now + timedelta(seconds=start.deadline_s),
            steps=[Step(step.name) for step in machine.definition.steps],
        )
        async with self._units_of_work.begin() as work:
            store = SagaStore(work.connection)
            effects = machine.start(saga, now)
            if await store.add(saga, machine.next_timer(saga)):
                await self._send(work, machine, saga, effects, str(saga.id))
            else:
                saga = await self._started_before(store, start)
        self._set_timer(machine.next_timer(saga))
        return saga

    async def on_reply(self, record: Record) -> None:
        """Takes a participant's reply.

        Raises:
            Unprocessable: it is no reply, or one to a saga that does not exist.
        """
        reply = Reply.of(record)
        async with self._units_of_work.begin() as work:
            if not await work.inbox.is_new(self._service, reply.message_id):
                return
            store = SagaStore(work.connection)
            saga = await store.lock(reply.saga_id)
            if saga is None or saga.tenant_id != reply.tenant_id or saga.step(reply.step) is None:
                raise Unprocessable(f"no saga {reply.saga_id} of this tenant has a step {reply.step!r}")
            machine = self._machines[saga.saga_type]
            answer = Answer(reply.reason, reply.result)
            effects = machine.on_reply(saga, reply.step, reply.action, reply.outcome, answer, datetime.now(UTC))
            if effects.changed:
                await store.save(saga, machine.next_timer(saga))
                await self._send(work, machine, saga, effects, str(reply.message_id))
        self._set_timer(machine.next_timer(saga))

    async def run_timers(self, stopping: asyncio.Event) -> None:
        """Fires timers until told to stop."""
        while not stopping.is_set():
            self._awake_at = _NEVER
            self._timer_set.clear()
            now = datetime.now(UTC)
            self._broken = {saga_id: until for saga_id, until in self._broken.items() if until > now}
            async with self._units_of_work.begin() as work:
                timers = await SagaStore(work.connection).timers(BATCH, but=self._broken)
            fired = [await self._fire(saga_id) for saga_id, at in timers if at <= now]
            if not any(fired):
                await self._sleep(now, min((at for _, at in timers if at > now), default=None), busy=bool(fired))

    async def read(self, saga_id: UUID) -> Saga | None:
        """A saga as it is now."""
        async with self._units_of_work.begin() as work:
            return await SagaStore(work.connection).get(saga_id)

    async def of_tenant(self, tenant_id: str, *, offset: int, limit: int) -> list[Saga]:
        """A tenant's sagas, newest first."""
        async with self._units_of_work.begin() as work:
            return await SagaStore(work.connection).of_tenant(tenant_id, offset=offset, limit=limit)

    async def _started_before(self, store: SagaStore, start: Start) -> Saga:
        saga = await store.find(start.tenant_id, start.saga_type, start.correlation_id)
        if saga is None or saga.input != start.input:
            raise DifferentRequest(f"{start.correlation_id!r} was used for another request")
        return saga

    async def _fire(self, saga_id: UUID) -> bool:
        """Does what is due for a saga; false if somebody else is moving it or it cannot be moved.

        One that cannot be moved is left alone for a while: many of them must not hide the others.
        """
        whose = ("", "")
        try:
            async with self._units_of_work.begin() as work:
                store = SagaStore(work.connection)
                saga = await store.lock(saga_id, skip_locked=True)
                if saga is None:
                    return False
                whose = (saga.correlation_id, saga.tenant_id)
                machine = self._machines[saga.saga_type]
                effects = machine.on_time(saga, datetime.now(UTC))
                if effects.changed:
                    await store.save(saga, machine.next_timer(saga))
                    with logs.bound(*whose):
                        await self._send(work, machine, saga, effects, str(saga.id))
        except Exception as failure:
            if is_transient(failure):
                raise
            with logs.bound(*whose):
                log.exception("timer of saga %s could not be fired; the others go on", saga_id)
            self._broken[saga_id] = datetime.now(UTC) + self._retry
            return False
        with logs.bound(*whose):
            for step, action in effects.commands:
                log.warning("saga %s: %s.%s issued by timer", saga_id, step, action)
        return effects.changed

    async def _sleep(self, now: datetime, until: datetime | None, *, busy: bool) -> None:
        """Waits for the next timer, or a moment if a saga is due that could not be moved now."""
        longest_s = BUSY_SLEEP_S if busy else LONGEST_SLEEP_S
        sleep_s = min((until - now).total_seconds(), longest_s) if until else longest_s
        self._awake_at = now + timedelta(seconds=sleep_s)
        await pause(self._timer_set, max(sleep_s, 0.01))

    def _set_timer(self, at: datetime | None) -> None:
        """Wakes the timers if they would sleep too long."""
        if at is not None and at < self._awake_at:
            self._timer_set.set()

    async def _send(
        self, work: UnitOfWork, machine: SagaMachine, saga: Saga, effects: Effects, causation_id: str
    ) -> None:
        """Puts everything that goes with a change into the transaction that stores it."""
        cause = Cause(saga.tenant_id, saga.correlation_id, causation_id, self._service)
        if effects.events:
            await self._announce(work, cause, machine.definition.aggregate_type, saga, effects.events)
        for step, action in effects.commands:
            work.outbox.add(self._command(machine.definition, saga, step, action))
        if saga.state.terminal:
            work.after_commit(metrics.SAGAS.labels(saga.saga_type, saga.state).inc)
            level = logging.ERROR if saga.state is SagaState.FAILED else logging.INFO
            log.log(level, "saga %s is %s: %s", saga.id, saga.state, saga.reason or "")

    async def _announce(
        self, work: UnitOfWork, cause: Cause, aggregate_type: str, saga: Saga, event_types: list[str]
    ) -> None:
        payload = {"saga_id": str(saga.id), "saga_type": saga.saga_type, "reason": saga.reason}
        facts = [Fact(event_type, payload) for event_type in event_types]
        aggregate_id = str(saga.id)
        version = await work.events.version(aggregate_id)
        await work.events.append(cause, aggregate_type, aggregate_id, facts, expected_version=version)

    def _command(self, definition: SagaDefinition, saga: Saga, step_name: str, action: Action) -> Message:
        step = definition.steps[definition.position(step_name)]
        command = Command(
            message_id=command_id(saga.id, step.name, action),
            saga_id=saga.id,
            saga_type=saga.saga_type,
            step=step.name,
            action=action,
            tenant_id=saga.tenant_id,
            correlation_id=saga.correlation_id,
            timestamp=datetime.now(UTC),
            payload=step.payload(saga.input, saga.context) if action is Action.EXECUTE else {},
        )
        return command.message(step.service, self._service)
