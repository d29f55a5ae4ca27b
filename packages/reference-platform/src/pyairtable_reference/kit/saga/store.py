"""How sagas are stored: one row each plus one per step, locked while they are being moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pyairtable_reference.kit.envelope import Action, command_id
from pyairtable_reference.kit.saga.machine import Saga, SagaState, Step, StepState
from pyairtable_reference.kit.saga.schema import saga_instances, saga_steps

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


class ConcurrentChange(Exception):
    """A saga was changed under its lock: the lock was lost; do the work again."""


class SagaStore:
    """The sagas, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._stored: dict[UUID, list[Step]] = {}

    async def add(self, saga: Saga) -> bool:
        """Stores a new saga; false if its tenant has one of the same type and correlation id already."""
        row = _instance(saga) | {"timer_at": None}
        added = await self._connection.execute(upsert(saga_instances).values(**row).on_conflict_do_nothing())
        if added.rowcount == 0:
            return False
        rows = [_step(saga, position, step) for position, step in enumerate(saga.steps)]
        await self._connection.execute(insert(saga_steps), rows)
        self._remember(saga)
        return True

    async def find(self, tenant_id: str, saga_type: str, correlation_id: str) -> Saga | None:
        """The saga that was started under that correlation id."""
        table = saga_instances.c
        return await self._one(
            table.tenant_id == tenant_id, table.saga_type == saga_type, table.correlation_id == correlation_id
        )

    async def get(self, saga_id: UUID) -> Saga | None:
        """A saga as it is now."""
        return await self._one(saga_instances.c.id == saga_id)

    async def lock(self, saga_id: UUID, *, skip_locked: bool = False) -> Saga | None:
        """A saga nobody else can move until the transaction ends.

        None if there is none or, with `skip_locked`, if somebody else is moving it. Locking and reading are two
        statements: what the locking one reads of the steps may be older than the lock.
        """
        held = select(saga_instances.c.id).where(saga_instances.c.id == saga_id)
        found = await self._connection.execute(held.with_for_update(skip_locked=skip_locked))
        return None if found.first() is None else await self.get(saga_id)

    async def of_tenant(self, tenant_id: str, limit: int) -> list[Saga]:
        """A tenant's sagas, newest first."""
        mine = select(saga_instances.c.id).where(saga_instances.c.tenant_id == tenant_id)
        newest = mine.order_by(saga_instances.c.created_at.desc()).limit(limit)
        return await self._all(saga_instances.c.id.in_(newest))

    async def save(self, saga: Saga, timer_at: datetime | None) -> None:
        """Stores a saga that was moved.

        Raises:
            ConcurrentChange: it is no longer at the version it was read at.
        """
        row = _instance(saga) | {"version": saga.version + 1, "timer_at": timer_at, "updated_at": func.now()}
        unmoved = (saga_instances.c.id == saga.id) & (saga_instances.c.version == saga.version)
        if (await self._connection.execute(update(saga_instances).where(unmoved).values(**row))).rowcount != 1:
            raise ConcurrentChange(f"saga {saga.id} is no longer at version {saga.version}")
        saga.version += 1
        before = self._stored.get(saga.id, [])
        for position, step in enumerate(saga.steps):
            if step not in before[position : position + 1]:
                mine = (saga_steps.c.saga_id == saga.id) & (saga_steps.c.position == position)
                values = _step(saga, position, step) | {"updated_at": func.now()}
                await self._connection.execute(update(saga_steps).where(mine).values(**values))
        self._remember(saga)

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        """Sagas whose timer has run out."""
        late = select(saga_instances.c.id).where(saga_instances.c.timer_at <= now)
        return [row.id for row in await self._connection.execute(late.order_by(saga_instances.c.timer_at).limit(limit))]

    async def next_timer(self) -> datetime | None:
        """When the next timer runs out."""
        found = await self._connection.execute(select(func.min(saga_instances.c.timer_at)))
        earliest: datetime | None = found.scalar_one()
        return earliest

    def _remember(self, saga: Saga) -> None:
        self._stored[saga.id] = [replace(step) for step in saga.steps]

    async def _one(self, *conditions: ColumnElement[bool]) -> Saga | None:
        return next(iter(await self._all(*conditions)), None)

    async def _all(self, *conditions: ColumnElement[bool]) -> list[Saga]:
        joined = saga_instances.join(saga_steps, saga_steps.c.saga_id == saga_instances.c.id)
        columns = [*saga_instances.c, *(column.label(f"step_{column.name}") for column in saga_steps.c)]
        order = saga_instances.c.created_at.desc(), saga_instances.c.id, saga_steps.c.position
        statement = select(*columns).select_from(joined).where(*conditions).order_by(*order)
        rows = await self._connection.execute(statement)
        sagas = [_saga(list(group)) for _, group in groupby(rows, key=attrgetter("id"))]
        for saga in sagas:
            self._remember(saga)
        return sagas


def _saga(rows: Any) -> Saga:
    first = rows[0]
    return Saga(
        id=first.id,
        saga_type=first.saga_type,
        tenant_id=first.tenant_id,
        correlation_id=first.correlation_id,
        input=first.input,
        deadline_at=first.deadline_at.astimezone(UTC),
        state=SagaState(first.state),
        context=first.context,
        reason=first.reason,
        version=first.version,
        steps=[
            Step(
                name=row.step_name,
                state=StepState(row.step_state),
                attempts=row.step_attempts,
                reason=row.step_reason,
                result=row.step_result,
                resend_at=row.step_resend_at,
            )
            for row in rows
        ],
    )


def _instance(saga: Saga) -> dict[str, Any]:
    return {
        "id": saga.id,
        "saga_type": saga.saga_type,
        "tenant_id": saga.tenant_id,
        "correlation_id": saga.correlation_id,
        "state": saga.state.value,
        "input": saga.input,
        "context": saga.context,
        "reason": saga.reason,
        "deadline_at": saga.deadline_at,
        "version": saga.version,
    }


def _step(saga: Saga, position: int, step: Step) -> dict[str, Any]:
    undoing = step.state in {StepState.COMPENSATING, StepState.COMPENSATED, StepState.COMPENSATION_FAILED}
    action = Action.COMPENSATE if undoing else Action.EXECUTE
    return {
        "saga_id": saga.id,
        "position": position,
        "name": step.name,
        "state": step.state.value,
        "attempts": step.attempts,
        "command_id": None if step.state is StepState.PENDING else command_id(saga.id, step.name, action),
        "reason": step.reason,
        "result": step.result,
        "resend_at": step.resend_at,
    }
