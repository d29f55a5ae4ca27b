"""The endpoints of user-service, for the gateway."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.security import User
from pyairtable_reference.services.user_service.adapters.profiles import Profiles

router = APIRouter(prefix="/api/v1/users", tags=["users"])


class ProfileAnswer(BaseModel):
    """A user."""

    id: UUID
    tenant_id: str
    email: str
    first_name: str
    last_name: str
    workspaces: int


@router.get("/{user_id}")
async def get_user(user_id: UUID, user: User, request: Request) -> ProfileAnswer:
    """A user of the caller's own tenant."""
    async with runtime_of(request).units_of_work.begin() as work:
        profile = await Profiles(work.connection).get(user.tenant_id, user_id)
    if profile is None:
        raise ApiError(404, "not-found", f"there is no user {user_id}")
    return ProfileAnswer.model_validate(profile, from_attributes=True)
