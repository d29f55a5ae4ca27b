"""Where profiles are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from pyairtable_reference.services.user_service.adapters.schema import profiles
from pyairtable_reference.services.user_service.domain.profile import Profile

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


class Profiles:
    """The profiles, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, profile: Profile) -> None:
        """Stores a profile."""
        await self._connection.execute(insert(profiles), asdict(profile))

    async def get(self, tenant_id: str, user_id: UUID) -> Profile | None:
        """A tenant's user."""
        columns = [profiles.c[name] for name in Profile.__dataclass_fields__]
        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)
        row = (await self._connection.execute(select(*columns).where(mine))).one_or_none()
        return Profile(*row) if row else None

    async def count_workspaces(self, tenant_id: str, user_id: UUID, change: int) -> None:
        """Changes how many workspaces a user owns; a user who is gone owns none."""
        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)
        await self._connection.execute(update(profiles).where(mine).values(workspaces=profiles.c.workspaces + change))
