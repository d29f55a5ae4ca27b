"""The HTTP side every service has: liveness, readiness, metrics, errors, operators' outbox retry."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pyairtable_reference.kit.http import errors
from pyairtable_reference.kit.http.middleware import RequestContext
from pyairtable_reference.kit.http.security import require_operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from pyairtable_reference.kit.runtime import Runtime

probes = APIRouter(tags=["probes"])
operations = APIRouter(prefix="/api/v1/outbox", tags=["operations"], dependencies=[Depends(require_operator)])


@probes.get("/health")
async def health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@probes.get("/ready")
async def ready(request: Request) -> JSONResponse:
    """Whether everything the service needs is there."""
    checks = await runtime_of(request).checks()
    return JSONResponse({"ready": all(checks.values()), "checks": checks}, 200 if all(checks.values()) else 503)


@probes.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> PlainTextResponse:
    """What the service has counted, for Prometheus."""
    return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@operations.post("/{message_id}/retry", status_code=202)
async def retry(message_id: UUID, request: Request) -> dict[str, str]:
    """Queues a parked message again, with the same id and headers."""
    units_of_work = runtime_of(request).units_of_work
    async with units_of_work.begin() as work:
        found = await work.outbox.retry(message_id)
        work.after_commit(units_of_work.announce)
    if not found:
        raise errors.ApiError(404, "not-found", f"no message {message_id} is parked")
    return {"status": "pending"}


def runtime_of(request: Request) -> Runtime:
    """The running service behind a request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def build_app(title: str, routers: Iterable[APIRouter], *, has_database: bool) -> FastAPI:
    """The app of a service; `app.state.runtime` has to be set before it starts."""
    app = FastAPI(title=title, version="0.1.0", docs_url=None, redoc_url=None, lifespan=_lifespan)
    app.add_middleware(RequestContext)
    errors.install(app)
    app.include_router(probes)
    if has_database:
        app.include_router(operations)
    for router in routers:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    runtime: Runtime = app.state.runtime
    yield {}
    await runtime.stop()
