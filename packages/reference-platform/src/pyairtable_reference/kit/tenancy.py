"""Rules an operator sets per tenant: how much it may have, and whether anything of it may be deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, bindparam, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.kit.event_store import Fact
from pyairtable_reference.kit.participant import Answer, Done, Refused, cause_of
from pyairtable_reference.kit.schema import legal_holds, tenant_limits

if TYPE_CHECKING:
    from pyairtable_reference.kit.envelope import Command
    from pyairtable_reference.kit.unit_of_work import UnitOfWork

LEGAL_HOLD = "legal-hold"

_LIMIT = select(tenant_limits.c.value).where(tenant_limits.c.tenant_id == bindparam("tenant"))
_HELD = select(exists().where(legal_holds.c.tenant_id == bindparam("tenant")))


async def is_full(work: UnitOfWork, things: Table, tenant_id: str, default: int) -> bool:
    """Whether the tenant has as many of a table's things as it may. The answer holds until the transaction ends."""
    await work.lock(things.name, tenant_id)
    limit = func.coalesce(_LIMIT.scalar_subquery(), default)
    is_reached = select(func.count() >= limit).select_from(things).where(things.c.tenant_id == bindparam("tenant"))
    return bool((await work.connection.execute(is_reached, {"tenant": tenant_id})).scalar_one())


@dataclass(frozen=True, slots=True)
class Removal:
    """Undoes a step: deletes what its saga has added and says so, unless the tenant is under legal hold.

    The event comes first, as with every change: two changes at once meet at the stream and not crosswise.

    Attributes:
        things: a table with the columns id, tenant_id and saga_id.
        describe: what the event says about a deleted row.
    """

    service: str
    things: Table
    aggregate_type: str
    event_type: str
    describe: Callable[[Any], dict[str, Any]]

    async def __call__(self, work: UnitOfWork, command: Command) -> Answer:
        """The compensation, for `StepHandlers`."""
        if await TenantRules(work).is_held(command.tenant_id):
            return Refused(LEGAL_HOLD)
        added = (self.things.c.saga_id == command.saga_id) & (self.things.c.tenant_id == command.tenant_id)
        rows = (await work.connection.execute(select(*self.things.c).where(added))).all()
        for row in rows:
            stream, fact = str(row.id), Fact(self.event_type, self.describe(row))
            version = await work.events.version(stream)
            cause = cause_of(command, self.service)
            await work.events.append(cause, self.aggregate_type, stream, [fact], expected_version=version)
        await work.connection.execute(delete(self.things).where(added))
        return Done()


class TenantRules:
    """The rules in a service's database, inside the caller's transaction."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._connection = work.connection

    async def set_limit(self, tenant_id: str, value: int) -> None:
        """Sets the limit."""
        statement = insert(tenant_limits).values(tenant_id=tenant_id, value=value)
        replace = statement.on_conflict_do_update(index_elements=[tenant_limits.c.tenant_id], set_={"value": value})
        await self._connection.execute(replace)

    async def clear_limit(self, tenant_id: str) -> None:
        """Restores the default."""
        await self._connection.execute(delete(tenant_limits).where(tenant_limits.c.tenant_id == tenant_id))

    async def is_held(self, tenant_id: str) -> bool:
        """Whether nothing of the tenant may be deleted. The answer holds until the transaction ends."""
        await self._work.lock(LEGAL_HOLD, tenant_id)
        found = await self._connection.execute(_HELD, {"tenant": tenant_id})
        return bool(found.scalar_one())

    async def hold(self, tenant_id: str) -> None:
        """Forbids deletion, once what is being deleted is gone."""
        await self._work.lock(LEGAL_HOLD, tenant_id)
        await self._connection.execute(insert(legal_holds).values(tenant_id=tenant_id).on_conflict_do_nothing())

    async def release(self, tenant_id: str) -> None:
        """Allows deletion again."""
        await self._connection.execute(delete(legal_holds).where(legal_holds.c.tenant_id == tenant_id))
