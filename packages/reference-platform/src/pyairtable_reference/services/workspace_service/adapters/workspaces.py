"""Where workspaces are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

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
        columns = [workspaces.c[name] for name in Workspace.__dataclass_fields__]
        mine = (workspaces.c.tenant_id == tenant_id) & (workspaces.c.owner_id == owner_id)
        page = select(*columns).where(mine).order_by(workspaces.c.created_at, workspaces.c.id)
        rows = await self._connection.execute(page.offset(offset).limit(limit))
        return [Workspace(*row) for row in rows]
