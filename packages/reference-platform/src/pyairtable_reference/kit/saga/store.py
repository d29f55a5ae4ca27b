"""How sagas are stored: one row each plus one per step, locked while they are being moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.kit.envelope import Action, command_id
from pyairtable_reference.kit.saga.machine import Saga, SagaState, Step, StepState
from pyairtable_reference.kit.saga.schema import saga_instances, saga_steps

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


class ConcurrentChange(Exception):
    """A saga was changed under its lock: the lock was lost; do the work again."""


_ROW = ("saga_type", "tenant_id", "correlation_id", "state", "input", "context", "reason", "deadline_at", "timer_at")
_STEP = ("state", "attempts", "command_id", "reason", "result", "resend_at")
_THIS = saga_instances.c.id == bindparam("saga")

_ADD = insert(saga_instances).on_conflict_do_nothing().returning(saga_instances.c.id)
_ADD_STEPS = insert(saga_steps)
_LOCK = select(saga_instances.c.id).where(_THIS).with_for_update()
_LOCK_IF_FREE = select(saga_instances.c.id).where(_THIS).with_for_update(skip_locked=True)
_SAVE = (
    update(saga_instances)
    .where(_THIS, saga_instances.c.version == bindparam("read_version"))
    .values({name: bindparam(name) for name in _ROW} | {"version": saga_instances.c.version + 1})
    .values(updated_at=func.now())
)
_SAVE_STEP = (
    update(saga_steps)
    .where(saga_steps.c.saga_id == bindparam("saga"), saga_steps.c.position == bindparam("at"))
    .values({name: bindparam(name) for name in _STEP} | {"updated_at": func.now()})
)
_TIMERS = (
    select(saga_instances.c.id, saga_instances.c.timer_at)
    .where(saga_instances.c.timer_at.is_not(None), saga_instances.c.id.not_in(bindparam("but", expanding=True)))
    .order_by(saga_instances.c.timer_at)
    .limit(bindparam("limit"))
)
_SAGAS = (
    select(*saga_instances.c, *(column.label(f"step_{column.name}") for column in saga_steps.c))
    .select_from(saga_instances.join(saga_steps, saga_steps.c.saga_id == saga_instances.c.id))
    .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id, saga_steps.c.position)
)
_GET = _SAGAS.where(_THIS)
_FIND = _SAGAS.where(
    saga_instances.c.tenant_id == bindparam("tenant"),
    saga_instances.c.saga_type == bindparam("type"),
    saga_instances.c.correlation_id == bindparam("correlation"),
)
_OF_TENANT = _SAGAS.where(
    saga_instances.c.id.in_(
        select(saga_instances.c.id)
        .where(saga_instances.c.tenant_id == bindparam("tenant"))
        .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id)
        .offset(bindparam("offset"))
        .limit(bindparam("limit"))
    )
)


class SagaStore:
    """The sagas, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._stored: dict[UUID, list[Step]] = {}

    async def add(self, saga: Saga, timer_at: datetime | None) -> bool:
        """Stores a new saga; false if its tenant has one of the same type and correlation id already."""
        row = _row(saga, timer_at) | {"id": saga.id, "version": saga.version}
        if (await self._connection.execute(_ADD, row)).first() is None:
            return False
        keys = ({"saga_id": saga.id, "position": at, "name": step.name} for at, step in enumerate(saga.steps))
        steps = (_step(saga, step) for step in saga.steps)
        await self._connection.execute(_ADD_STEPS, [key | step for key, step in zip(keys, steps, strict=True)])
        return True

    async def find(self, tenant_id: str, saga_type: str, correlation_id: str) -> Saga | None:
        """The saga that was started under that correlation id."""
        return await self._one(_FIND, tenant=tenant_id, type=saga_type, correlation=correlation_id)

    async def get(self, saga_id: UUID) -> Saga | None:
        """A saga as it is now."""
        return await self._one(_GET, saga=saga_id)

    async def lock(self, saga_id: UUID, *, skip_locked: bool = False) -> Saga | None:
        """A saga nobody else can move until the transaction ends.

        None if there is none or, with `skip_locked`, if somebody else is moving it. Locking and reading are two
        statements: what the locking one reads of the steps may be older than the lock.
        """
        found = await self._connection.execute(_LOCK_IF_FREE if skip_locked else _LOCK, {"saga": saga_id})
        return None if found.first() is None else await self.get(saga_id)

    async def of_tenant(self, tenant_id: str, *, offset: int, limit: int) -> list[Saga]:
        """A tenant's sagas, newest first."""
        return await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, limit=limit)

    async def save(self, saga: Saga, timer_at: datetime | None) -> None:
        """Stores a saga that was moved.

        Raises:
            ConcurrentChange: it is no longer at the version it was read at.
        """
        row = _row(saga, timer_at) | {"saga": saga.id, "read_version": saga.version}
        if (await self._connection.execute(_SAVE, row)).rowcount != 1:
            raise ConcurrentChange(f"saga {saga.id} is no longer at version {saga.version}")
        saga.version += 1
        stored = self._stored[saga.id]
        moved = [(at, step) for at, step in enumerate(saga.steps) if step != stored[at]]
        if moved:
            rows = [_step(saga, step) | {"saga": saga.id, "at": at} for at, step in moved]
            await self._connection.execute(_SAVE_STEP, rows)

    async def timers(self, limit: int, *, but: Iterable[UUID] = ()) -> list[tuple[UUID, datetime]]:
        """The sagas whose timers run out next, without some, and when."""
        rows = await self._connection.execute(_TIMERS, {"limit": limit, "but": list(but)})
        return [(row.id, row.timer_at) for row in rows]

    async def _one(self, statement: Select[Any], **parameters: Any) -> Saga | None:
        return next(iter(await self._all(statement, **parameters)), None)

    async def _all(self, statement: Select[Any], **parameters: Any) -> list[Saga]:
        rows = await self._connection.execute(statement, parameters)
        sagas = [_saga(list(group)) for _, group in groupby(rows, key=attrgetter("id"))]
        self._stored |= {saga.id: [replace(step) for step in saga.steps] for saga in sagas}
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


def _row(saga: Saga, timer_at: datetime | None) -> dict[str, Any]:
    return {
        "saga_type": saga.saga_type,
        "tenant_id": saga.tenant_id,
        "correlation_id": saga.correlation_id,
        "state": saga.state.value,
        "input": saga.input,
        "context": saga.context,
        "reason": saga.reason,
        "deadline_at": saga.deadline_at,
        "timer_at": timer_at,
    }


def _step(saga: Saga, step: Step) -> dict[str, Any]:
    undoing = step.state in {StepState.COMPENSATING, StepState.COMPENSATED, StepState.COMPENSATION_FAILED}
    action = Action.COMPENSATE if undoing else Action.EXECUTE
    return {
        "state": step.state.value,
        "attempts": step.attempts,
        "command_id": None if step.state is StepState.PENDING else command_id(saga.id, step.name, action),
        "reason": step.reason,
        "result": step.result,
        "resend_at": step.resend_at,
    }
