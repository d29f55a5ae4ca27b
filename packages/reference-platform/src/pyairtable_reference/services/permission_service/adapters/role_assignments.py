"""Where role assignments are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import exists, insert, select

from pyairtable_reference.services.permission_service.adapters.schema import role_assignments

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

    from pyairtable_reference.services.permission_service.domain.permission import RoleAssignment


class RoleAssignments:
    """The role assignments, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, assignment: RoleAssignment) -> None:
        """Stores an assignment."""
        await self._connection.execute(insert(role_assignments), asdict(assignment))

    async def grants(self, tenant_id: str, user_id: UUID, resource_id: str, permission: str) -> bool:
        """Whether the user has the permission on the resource."""
        table = role_assignments.c
        granted = exists().where(
            table.tenant_id == tenant_id,
            table.user_id == user_id,
            table.resource_id == resource_id,
            table.permissions.contains([permission]),
        )
        return bool((await self._connection.execute(select(granted))).scalar_one())
