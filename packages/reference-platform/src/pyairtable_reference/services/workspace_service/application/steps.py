"""What workspace-service does in sagas: create a workspace, and remove it again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from pyairtable_reference.kit.event_store import NEW, Fact
from pyairtable_reference.kit.participant import Answer, Done, Refused, StepHandlers, cause_of
from pyairtable_reference.kit.tenancy import Removal, is_full
from pyairtable_reference.services.workspace_service.adapters.schema import workspaces
from pyairtable_reference.services.workspace_service.adapters.workspaces import Workspaces
from pyairtable_reference.services.workspace_service.domain.workspace import DEFAULT_WORKSPACES, Workspace

if TYPE_CHECKING:
    from pyairtable_reference.kit.envelope import Command
    from pyairtable_reference.kit.unit_of_work import UnitOfWork

SERVICE = "workspace-service"
WORKSPACE_LIMIT = "workspace-limit"


async def create_workspace(work: UnitOfWork, command: Command) -> Answer:
    """Creates the user's first workspace."""
    if await is_full(work, workspaces, command.tenant_id, DEFAULT_WORKSPACES):
        return Refused(WORKSPACE_LIMIT)
    workspace = Workspace(
        id=uuid5(command.saga_id, "workspace"),
        tenant_id=command.tenant_id,
        saga_id=command.saga_id,
        owner_id=UUID(command.payload["owner_id"]),
        name=command.payload["name"],
    )
    await Workspaces(work.connection).add(workspace)
    told = {"workspace_id": str(workspace.id), "owner_id": str(workspace.owner_id), "name": workspace.name}
    fact = Fact("workspace.created", told)
    await work.events.append(cause_of(command, SERVICE), "workspace", str(workspace.id), [fact], expected_version=NEW)
    return Done({"workspace_id": str(workspace.id)})


remove_workspace = Removal(
    SERVICE,
    workspaces,
    "workspace",
    "workspace.removed",
    lambda row: {"workspace_id": str(row.id), "owner_id": str(row.owner_id)},
)

STEPS = {"create_workspace": StepHandlers(create_workspace, remove_workspace)}
