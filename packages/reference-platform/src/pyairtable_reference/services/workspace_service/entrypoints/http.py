"""The endpoints of workspace-service, for the gateway."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.security import User
from pyairtable_reference.services.workspace_service.adapters.workspaces import Workspaces

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])


class WorkspaceAnswer(BaseModel):
    """A workspace."""

    id: UUID
    tenant_id: str
    owner_id: UUID
    name: str


class Page(BaseModel):
    """A page of a list."""

    success: bool = True
    message: str = ""
    data: list[WorkspaceAnswer]
    page: int
    limit: int
    has_next: bool
    has_prev: bool


@router.get("")
async def list_workspaces(
    user: User,
    request: Request,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page:
    """The caller's workspaces, from the read replica: a new one may take a moment to appear."""
    replica: AsyncEngine = runtime_of(request).application
    async with replica.connect() as connection:
        found = await Workspaces(connection).owned_by(
            user.tenant_id, user.user_id, offset=(page - 1) * limit, limit=limit + 1
        )
    data = [WorkspaceAnswer.model_validate(workspace, from_attributes=True) for workspace in found[:limit]]
    return Page(data=data, page=page, limit=limit, has_next=len(found) > limit, has_prev=page > 1)
