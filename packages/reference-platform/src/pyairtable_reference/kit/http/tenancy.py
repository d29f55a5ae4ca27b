"""Operators' endpoints for the rules per tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.security import require_operator
from pyairtable_reference.kit.tenancy import TenantRules

TENANT_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
Tenant = Annotated[str, Path(pattern=TENANT_PATTERN)]

limits = APIRouter(prefix="/api/v1/tenants", tags=["tenants"], dependencies=[Depends(require_operator)])
holds = APIRouter(prefix="/api/v1/tenants", tags=["tenants"], dependencies=[Depends(require_operator)])


class Limit(BaseModel):
    """How many of the service's things a tenant may have."""

    model_config = ConfigDict(extra="forbid")

    value: int = Field(ge=0, le=1_000_000_000)


@limits.put("/{tenant}/limits")
async def set_limit(tenant: Tenant, limit: Limit, request: Request) -> Limit:
    """Sets the limit."""
    async with runtime_of(request).units_of_work.begin() as work:
        await TenantRules(work).set_limit(tenant, limit.value)
    return limit


@limits.delete("/{tenant}/limits", status_code=204)
async def clear_limit(tenant: Tenant, request: Request) -> None:
    """Restores the default."""
    async with runtime_of(request).units_of_work.begin() as work:
        await TenantRules(work).clear_limit(tenant)


@holds.put("/{tenant}/legal-hold", status_code=204)
async def hold(tenant: Tenant, request: Request) -> None:
    """Forbids deletion of anything of the tenant."""
    async with runtime_of(request).units_of_work.begin() as work:
        await TenantRules(work).hold(tenant)


@holds.delete("/{tenant}/legal-hold", status_code=204)
async def release(tenant: Tenant, request: Request) -> None:
    """Allows deletion again."""
    async with runtime_of(request).units_of_work.begin() as work:
        await TenantRules(work).release(tenant)
