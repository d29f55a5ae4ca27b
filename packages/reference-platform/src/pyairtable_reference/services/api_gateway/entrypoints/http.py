"""The one way in: checks who calls, forgets what callers say about themselves, passes the request on."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.security import require_operator
from pyairtable_reference.kit.service_client import ServiceClient
from pyairtable_reference.services.api_gateway.domain.routes import Access, access, upstream

router = APIRouter()

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
MAX_BODY_BYTES = 1_000_000
# Only these headers pass; whatever a client says about its identity does not.
_INWARD = ("accept", "authorization", "content-type", "idempotency-key")
_OUTWARD = ("content-type", "retry-after", "allow")


@router.api_route("/{path:path}", methods=METHODS, include_in_schema=False)
async def forward(request: Request) -> Response:
    """Passes a request on and its answer back."""
    client: ServiceClient = runtime_of(request).application
    path = request.scope["raw_path"].decode("latin-1")
    identity = await _identity(request, client, path)
    service = upstream(path)
    if service is None:
        raise ApiError(404, "not-found", "there is nothing here")
    headers = {name: request.headers[name] for name in _INWARD if name in request.headers}
    answer = await client.call(
        service,
        request.method,
        path,
        headers=headers | identity,
        query=request.scope["query_string"],
        content=await _body(request),
    )
    outward = {name: answer.headers[name] for name in _OUTWARD if name in answer.headers}
    return Response(answer.content, answer.status_code, outward)


async def _identity(request: Request, client: ServiceClient, path: str) -> dict[str, str]:
    """Who calls, for the service behind.

    Raises:
        ApiError: 401 if that is not known well enough.
    """
    needed = access(request.method, path)
    if needed is Access.OPERATOR:
        await require_operator(request)
    if needed is not Access.USER:
        return {}
    authorization = {"authorization": request.headers.get("authorization", "")}
    answer = await client.call("auth-service", "POST", "/auth/validate", headers=authorization)
    if answer.status_code == 401:
        raise ApiError(401, "unauthorized", "a valid access token is required")
    if answer.status_code != 200:
        raise ApiError(503, "identity-unavailable", "who you are cannot be checked now; try again")
    claims = answer.json()
    return {"X-User-ID": claims["user_id"], "X-Tenant-ID": claims["tenant_id"], "X-User-Roles": claims["role"]}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(413, "too-large", f"a request may have {MAX_BODY_BYTES} bytes")
    return bytes(body)
