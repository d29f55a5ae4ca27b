"""The endpoints of the orchestrator: other services start sagas, operators look at them."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.security import require_service, require_service_or_operator
from pyairtable_reference.kit.http.tenancy import TENANT_PATTERN
from pyairtable_reference.kit.saga.machine import Saga
from pyairtable_reference.kit.saga.orchestrator import (
    DifferentRequest,
    IncompleteInput,
    Orchestrator,
    Start,
    UnknownSagaType,
)

router = APIRouter(prefix="/sagas", tags=["sagas"])

Correlation = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class StartRequest(BaseModel):
    """Which saga, for whom, with what."""

    model_config = ConfigDict(extra="forbid")

    saga_type: str
    correlation_id: Correlation
    tenant_id: str = Field(pattern=TENANT_PATTERN)
    input_data: dict[str, Any]
    deadline_s: float | None = Field(default=None, gt=0, le=3600)


class StartAnswer(BaseModel):
    """The saga that was started, now or by the same request before."""

    saga_id: UUID
    status: str
    message: str


class StepAnswer(BaseModel):
    """How far a step is."""

    name: str
    state: str
    attempts: int
    reason: str | None


class SagaAnswer(BaseModel):
    """How far a saga is."""

    saga_id: UUID
    saga_type: str
    state: str
    correlation_id: str
    tenant_id: str
    reason: str | None
    steps: list[StepAnswer]

    @classmethod
    def of(cls, saga: Saga) -> Self:
        """The answer for a saga."""
        return cls(
            saga_id=saga.id,
            saga_type=saga.saga_type,
            state=saga.state,
            correlation_id=saga.correlation_id,
            tenant_id=saga.tenant_id,
            reason=saga.reason,
            steps=[
                StepAnswer(name=step.name, state=step.state, attempts=step.attempts, reason=step.reason)
                for step in saga.steps
            ],
        )


class SagaPage(BaseModel):
    """A page of a tenant's sagas."""

    sagas: list[SagaAnswer]
    page: int
    limit: int
    has_next: bool
    has_prev: bool


async def _orchestrator(request: Request) -> Orchestrator:
    orchestrator: Orchestrator = runtime_of(request).application
    return orchestrator


Application = Annotated[Orchestrator, Depends(_orchestrator)]


@router.post("/start", status_code=202, dependencies=[Depends(require_service)])
async def start(body: StartRequest, request: Request, orchestrator: Application) -> StartAnswer:
    """Starts a saga; the same correlation id is the same start."""
    deadline_s = body.deadline_s or runtime_of(request).settings.saga_deadline_s
    wanted = Start(body.saga_type, body.tenant_id, body.correlation_id, body.input_data, deadline_s)
    try:
        saga = await orchestrator.start(wanted)
    except DifferentRequest as reused:
        raise ApiError(409, "correlation-id-reused", str(reused)) from reused
    except (UnknownSagaType, IncompleteInput) as wrong:
        raise ApiError(422, "invalid-request", str(wrong)) from wrong
    return StartAnswer(saga_id=saga.id, status=saga.state, message=f"{saga.saga_type} is {saga.state}")


@router.get("", dependencies=[Depends(require_service_or_operator)])
async def list_sagas(
    tenant_id: Annotated[str, Query(pattern=TENANT_PATTERN)],
    orchestrator: Application,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> SagaPage:
    """A tenant's sagas, newest first."""
    found = await orchestrator.of_tenant(tenant_id, offset=(page - 1) * limit, limit=limit + 1)
    sagas = [SagaAnswer.of(saga) for saga in found[:limit]]
    return SagaPage(sagas=sagas, page=page, limit=limit, has_next=len(found) > limit, has_prev=page > 1)


@router.get("/{saga_id}", dependencies=[Depends(require_service_or_operator)])
async def get_saga(saga_id: UUID, orchestrator: Application) -> SagaAnswer:
    """How far a saga is."""
    saga = await orchestrator.read(saga_id)
    if saga is None:
        raise ApiError(404, "not-found", f"there is no saga {saga_id}")
    return SagaAnswer.of(saga)
