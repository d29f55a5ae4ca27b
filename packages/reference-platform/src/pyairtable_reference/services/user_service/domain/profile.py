"""Profiles: who a user is."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

DEFAULT_SEATS = 100


@dataclass(frozen=True, slots=True)
class Profile:
    """A user of a tenant. `workspaces` is how many workspaces the user owns, as far as is known here."""

    id: UUID
    tenant_id: str
    saga_id: UUID
    email: str
    first_name: str
    last_name: str
    workspaces: int = 0
