"""Where credentials are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert

from pyairtable_reference.services.auth_service.adapters.schema import credentials
from pyairtable_reference.services.auth_service.domain.credential import Credential

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


class Credentials:
    """The credentials, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, credential: Credential) -> bool:
        """Stores a credential; false if its e-mail address is taken. Waits for a concurrent taker's decision."""
        return (await self._connection.execute(_ADD, asdict(credential))).first() is not None

    async def by_email(self, email: str) -> Credential | None:
        """The credential of an address."""
        return await self._one(credentials.c.email == email)

    async def by_id(self, user_id: UUID) -> Credential | None:
        """The credential of a user."""
        return await self._one(credentials.c.id == user_id)

    async def _one(self, condition: ColumnElement[bool]) -> Credential | None:
        row = (await self._connection.execute(select(*_COLUMNS).where(condition))).one_or_none()
        return Credential(*row) if row else None


_COLUMNS = tuple(credentials.c[name] for name in ("id", "tenant_id", "saga_id", "email", "password_hash", "status"))
_ADD = insert(credentials).on_conflict_do_nothing(index_elements=[credentials.c.email]).returning(credentials.c.id)
