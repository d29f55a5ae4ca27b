"""Who may call an endpoint: other services by token, operators by key; and whom a service calls for."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.service_auth import HEADER, REFUSED, InvalidServiceToken, verify_token
from pyairtable_reference.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """The user a service calls for."""

    user_id: UUID
    tenant_id: str


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.runtime.settings
    return settings


def is_operator(request: Request) -> bool:
    """Whether the request carries the operators' key."""
    given = request.headers.get("X-API-Key", "").encode()
    return hmac.compare_digest(given, _settings(request).admin_key.encode())


async def require_operator(request: Request) -> None:
    """Lets operators in.

    Raises:
        ApiError: 401.
    """
    if not is_operator(request):
        raise ApiError(401, "unauthorized", "a valid X-API-Key is required")


async def require_service(request: Request) -> str:
    """Lets other services in; returns the caller's name.

    Raises:
        ApiError: 401.
    """
    settings = _settings(request)
    try:
        return verify_token(settings.service_secret, request.headers.get(HEADER, ""), settings.service_name)
    except InvalidServiceToken as invalid:
        raise ApiError(401, REFUSED, f"a valid {HEADER} is required") from invalid


async def require_service_or_operator(request: Request) -> None:
    """Lets other services and operators in.

    Raises:
        ApiError: 401.
    """
    if not is_operator(request):
        await require_service(request)


async def require_user(request: Request) -> Identity:
    """The user that another service, which has checked who it is, calls for; what is logged is about their tenant.

    Raises:
        ApiError: 401.
    """
    await require_service(request)
    try:
        user_id = UUID(request.headers.get("X-User-ID", ""))
    except ValueError as malformed:
        raise ApiError(401, "unauthorized", "no user is logged in") from malformed
    identity = Identity(user_id, request.headers.get("X-Tenant-ID", ""))
    logs.belongs_to(identity.tenant_id)
    return identity


User = Annotated[Identity, Depends(require_user)]
