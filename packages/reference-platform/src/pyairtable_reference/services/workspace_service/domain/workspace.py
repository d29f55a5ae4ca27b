"""Workspaces: where a tenant's projects live."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

DEFAULT_WORKSPACES = 50


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace and who owns it. `version` is the place of its last event in its stream."""

    id: UUID
    tenant_id: str
    saga_id: UUID
    owner_id: UUID
    name: str
    version: int = 1
