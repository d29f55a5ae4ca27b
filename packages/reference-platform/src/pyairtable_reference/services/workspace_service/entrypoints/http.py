"""The endpoints of workspace-service, for the gateway."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.middleware import is_identifier
from pyairtable_reference.kit.http.security import User
from pyairtable_reference.services.workspace_service.application.directory import Directory

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])


class WorkspaceAnswer(BaseModel):
    """A workspace."""

    id: UUID
    tenant_id: str
    owner_id: UUID
    name: str
    version: int


class RenameRequest(BaseModel):
    """Another name for the workspace at a version that the caller has seen."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    expected_version: int = Field(ge=1, lt=2**31 - 1)


class Page(BaseModel):
    """A page of a list."""

    success: bool = True
    message: str = ""
    data: list[WorkspaceAnswer]
    page: int
    limit: int
    has_next: bool
    has_prev: bool


async def _directory(request: Request) -> Directory:
    directory: Directory = runtime_of(request).application
    return directory


Application = Annotated[Directory, Depends(_directory)]


@router.get("")
async def list_workspaces(
    user: User,
    directory: Application,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page:
    """The caller's workspaces, from the read replica: a new one may take a moment to appear."""
    found = await directory.owned_by(user, offset=(page - 1) * limit, limit=limit + 1)
    data = [WorkspaceAnswer.model_validate(workspace, from_attributes=True) for workspace in found[:limit]]
    return Page(data=data, page=page, limit=limit, has_next=len(found) > limit, has_prev=page > 1)


@router.get("/{workspace_id}")
async def get_workspace(workspace_id: UUID, user: User, directory: Application) -> WorkspaceAnswer:
    """One of the caller's workspaces."""
    return WorkspaceAnswer.model_validate(await directory.get(user, workspace_id), from_attributes=True)


@router.patch("/{workspace_id}")
async def rename_workspace(
    workspace_id: UUID,
    body: RenameRequest,
    user: User,
    directory: Application,
    idempotency_key: Annotated[str, Header()] = "",
) -> WorkspaceAnswer:
    """Renames one of the caller's workspaces, if it is at the expected version; 409 if not."""
    if idempotency_key and not is_identifier(idempotency_key):
        raise ApiError(400, "invalid-idempotency-key", "an Idempotency-Key has 1 to 200 printable characters")
    renamed = await directory.rename(
        user, workspace_id, body.name, expected_version=body.expected_version, key=idempotency_key
    )
    return WorkspaceAnswer.model_validate(renamed, from_attributes=True)
