"""What permission-service does in sagas: assign a role, and revoke it again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from pyairtable_reference.kit.event_store import NEW, Fact
from pyairtable_reference.kit.participant import Answer, Done, Refused, StepHandlers, cause_of
from pyairtable_reference.kit.tenancy import Removal, is_full
from pyairtable_reference.services.permission_service.adapters.role_assignments import RoleAssignments
from pyairtable_reference.services.permission_service.adapters.schema import role_assignments
from pyairtable_reference.services.permission_service.domain.permission import (
    DEFAULT_MEMBERS,
    OWNER,
    OWNER_PERMISSIONS,
    RoleAssignment,
)

if TYPE_CHECKING:
    from pyairtable_reference.kit.envelope import Command
    from pyairtable_reference.kit.unit_of_work import UnitOfWork

SERVICE = "permission-service"
ROLE_LIMIT = "role-limit"


async def assign_permissions(work: UnitOfWork, command: Command) -> Answer:
    """Makes the user the owner of the workspace."""
    if await is_full(work, role_assignments, command.tenant_id, DEFAULT_MEMBERS):
        return Refused(ROLE_LIMIT)
    assignment = RoleAssignment(
        id=uuid5(command.saga_id, "role"),
        tenant_id=command.tenant_id,
        saga_id=command.saga_id,
        user_id=UUID(command.payload["user_id"]),
        resource_type="workspace",
        resource_id=command.payload["workspace_id"],
        role=OWNER,
        permissions=list(OWNER_PERMISSIONS),
    )
    await RoleAssignments(work.connection).add(assignment)
    told = {
        "user_id": str(assignment.user_id),
        "resource_type": assignment.resource_type,
        "resource_id": assignment.resource_id,
        "role": assignment.role,
        "permissions": assignment.permissions,
    }
    fact = Fact("permissions.assigned", told)
    await work.events.append(cause_of(command, SERVICE), "permission", str(assignment.id), [fact], expected_version=NEW)
    return Done()


revoke_permissions = Removal(
    SERVICE,
    role_assignments,
    "permission",
    "permissions.revoked",
    lambda row: {"user_id": str(row.user_id), "resource_type": row.resource_type, "resource_id": row.resource_id},
)

STEPS = {"assign_permissions": StepHandlers(assign_permissions, revoke_permissions)}
