"""Roles and what they allow."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

DEFAULT_MEMBERS = 100
OWNER = "owner"
OWNER_PERMISSIONS = ("workspace.read", "workspace.write", "project.create", "base.create")

_MEANS = {
    "read": "read",
    "list": "read",
    "view": "read",
    "download": "read",
    "write": "write",
    "update": "write",
    "delete": "write",
    "manage": "write",
    "create": "create",
}
_OWN_NAME = {"airtable_base": "base"}


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """What a user may do with a resource and what is in it."""

    id: UUID
    tenant_id: str
    saga_id: UUID
    user_id: UUID
    resource_type: str
    resource_id: str
    role: str
    permissions: list[str]


def needed(resource_type: str, action: str) -> str | None:
    """The permission an action on a kind of resource needs; None if nobody can be given it."""
    meaning = _MEANS.get(action)
    return f"{_OWN_NAME.get(resource_type, resource_type)}.{meaning}" if meaning else None
