"""Where workspaces are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from pyairtable_reference.services.workspace_service.adapters.schema import workspaces
from pyairtable_reference.services.workspace_service.domain.workspace import Workspace

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


class Workspaces:
    """The workspaces, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, workspace: Workspace) -> None:
        """Stores a workspace."""
        await self._connection.execute(insert(workspaces), asdict(workspace))

    async def owned_by(self, tenant_id: str, owner_id: UUID, *, offset: int, limit: int) -> list[Workspace]:
        """A user's workspaces, oldest first."""
        mine = (workspaces.c.tenant_id == tenant_id) & (workspaces.c.owner_id == owner_id)
        page = select(*_COLUMNS).where(mine).order_by(workspaces.c.created_at, workspaces.c.id)
        rows = await self._connection.execute(page.offset(offset).limit(limit))
        return [Workspace(*row) for row in rows]

    async def get(self, tenant_id: str, workspace_id: UUID) -> Workspace | None:
        """A tenant's workspace."""
        mine = (workspaces.c.id == workspace_id) & (workspaces.c.tenant_id == tenant_id)
        row = (await self._connection.execute(select(*_COLUMNS).where(mine))).one_or_none()
        return Workspace(*row) if row else None

    async def replace(self, changed: Workspace) -> bool:
        """Stores the next version of a workspace; false if the version before it is not there any more."""
        table = workspaces.c
        before = (table.id == changed.id) & (table.tenant_id == changed.tenant_id)
        before &= table.version == changed.version - 1
        change = update(workspaces).where(before).values(name=changed.name, version=changed.version)
        return (await self._connection.execute(change)).rowcount == 1


_COLUMNS = tuple(workspaces.c[name] for name in Workspace.__dataclass_fields__)
