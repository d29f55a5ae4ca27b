"""The endpoints of permission-service, for the gateway."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.security import User
from pyairtable_reference.services.permission_service.adapters.role_assignments import RoleAssignments
from pyairtable_reference.services.permission_service.domain.permission import needed

Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]

router = APIRouter(prefix="/api/v1/permissions", tags=["permissions"])


class CheckRequest(BaseModel):
    """May this user do this to that?"""

    model_config = ConfigDict(extra="forbid")

    user_id: UUID
    resource_type: Word
    resource_id: Word
    action: Word
    tenant_id: Word


class CheckAnswer(BaseModel):
    """Whether, and why."""

    allowed: bool
    reason: str


@router.post("/check")
async def check(body: CheckRequest, user: User, request: Request) -> CheckAnswer:
    """Whether a user of the caller's own tenant may do something."""
    if body.tenant_id != user.tenant_id:
        raise ApiError(403, "forbidden", "only the own tenant's permissions can be checked")
    permission = needed(body.resource_type, body.action)
    if permission is None:
        return CheckAnswer(allowed=False, reason=f"no role allows {body.action} on {body.resource_type}")
    async with runtime_of(request).units_of_work.begin() as work:
        granted = await RoleAssignments(work.connection).grants(
            user.tenant_id, body.user_id, body.resource_id, permission
        )
    return CheckAnswer(allowed=granted, reason=f"{permission} is {'granted' if granted else 'not granted'}")
