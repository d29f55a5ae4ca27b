"""The endpoints of auth-service, for the gateway."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from pyairtable_reference.kit.http.app import runtime_of
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.http.middleware import is_identifier
from pyairtable_reference.kit.http.security import require_service
from pyairtable_reference.kit.http.tenancy import TENANT_PATTERN
from pyairtable_reference.services.auth_service.adapters.sessions import Tokens
from pyairtable_reference.services.auth_service.application.accounts import Accounts, Registration

# Without `?`: a header decodes what stands between `=?` and `?=` (RFC 2047), to another address or to a line's end.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
EMAIL_PATTERN = rf"^{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+$"

Email = Annotated[str, Field(max_length=254, pattern=EMAIL_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Password = Annotated[str, Field(min_length=8, max_length=256, pattern=r"^[^\x00]*$", repr=False)]

router = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(require_service)])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RegisterRequest(_Strict):
    """A request for an account."""

    email: Email
    password: Password
    first_name: Name
    last_name: Name
    tenant_id: str = Field(pattern=TENANT_PATTERN)
    deadline_s: float | None = Field(default=None, gt=0, le=3600)


class RegisterAnswer(BaseModel):
    """The registration goes on; its saga tells how far it is."""

    saga_id: str
    status: str
    message: str


class LoginRequest(_Strict):
    """An e-mail address and its password."""

    email: Annotated[str, Field(max_length=254, pattern=r"^[^\x00]*$")]
    password: Annotated[str, Field(max_length=256, repr=False)]


class RefreshRequest(_Strict):
    """A refresh token."""

    refresh_token: Annotated[str, Field(max_length=256, repr=False)]


class Claims(BaseModel):
    """Whose token it is."""

    user_id: str
    email: str
    role: str
    tenant_id: str
    exp: int
    iat: int


async def _accounts(request: Request) -> Accounts:
    accounts: Accounts = runtime_of(request).application
    return accounts


async def _bearer(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ApiError(401, "unauthorized", "a bearer token is required")
    return token


Application = Annotated[Accounts, Depends(_accounts)]
Bearer = Annotated[str, Depends(_bearer)]


@router.post("/register", status_code=202)
async def register(
    body: RegisterRequest, accounts: Application, idempotency_key: Annotated[str, Header()] = ""
) -> RegisterAnswer:
    """Starts a registration; the same Idempotency-Key is the same registration."""
    if not is_identifier(idempotency_key):
        raise ApiError(400, "idempotency-key-required", "send an Idempotency-Key of 1 to 200 printable characters")
    return RegisterAnswer(**await accounts.register(Registration(**body.model_dump()), idempotency_key))


@router.post("/login")
async def login(body: LoginRequest, accounts: Application) -> Tokens:
    """Opens a session."""
    return await accounts.log_in(body.email, body.password)


@router.post("/refresh")
async def refresh(body: RefreshRequest, accounts: Application) -> Tokens:
    """Replaces a pair of tokens."""
    return await accounts.refresh(body.refresh_token)


@router.post("/validate")
async def validate(token: Bearer, accounts: Application) -> Claims:
    """Whose access token it is."""
    return Claims.model_validate(await accounts.validate(token), from_attributes=True)


@router.get("/me")
async def me(token: Bearer, accounts: Application) -> Claims:
    """Who is logged in."""
    return Claims.model_validate(await accounts.validate(token), from_attributes=True)


@router.post("/logout", status_code=204)
async def logout(token: Bearer, accounts: Application) -> None:
    """Ends the session."""
    await accounts.log_out(token)
