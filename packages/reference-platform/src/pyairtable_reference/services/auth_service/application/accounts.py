"""What people do with their accounts: register, log in, stay logged in, log out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.services.auth_service.adapters.credentials import Credentials
from pyairtable_reference.services.auth_service.domain.credential import ACTIVE, Credential, normalised
from pyairtable_reference.services.auth_service.domain.passwords import hash_password, salt_for, verify_password

if TYPE_CHECKING:
    from pyairtable_reference.kit.service_client import ServiceClient
    from pyairtable_reference.kit.unit_of_work import UnitsOfWork
    from pyairtable_reference.services.auth_service.adapters.sessions import Session, Sessions, Tokens

ORCHESTRATOR = "saga-orchestrator"


@dataclass(frozen=True, slots=True)
class Registration:
    """A request for an account."""

    email: str
    password: str
    first_name: str
    last_name: str
    tenant_id: str
    deadline_s: float | None


class Accounts:
    """The use cases of auth-service."""

    def __init__(
        self, units_of_work: UnitsOfWork, sessions: Sessions, client: ServiceClient, *, secret: str, scrypt_log2_n: int
    ) -> None:
        self._units_of_work = units_of_work
        self._sessions = sessions
        self._client = client
        self._secret = secret
        self._log2_n = scrypt_log2_n

    async def register(self, registration: Registration, key: str) -> dict[str, Any]:
        """Starts the registration saga; the clear password goes no further than this.

        Raises:
            ApiError: the orchestrator does not take it (409: the key belongs to another request), or is away.
        """
        # Another password under the same key is another request, so the same one has to have the same hash.
        salt = salt_for(self._secret, registration.tenant_id, key)
        password_hash = await asyncio.to_thread(hash_password, registration.password, salt, self._log2_n)
        request = {
            "saga_type": "user_registration",
            "correlation_id": key,
            "tenant_id": registration.tenant_id,
            "deadline_s": registration.deadline_s,
            "input_data": {
                "email": normalised(registration.email),
                "password_hash": password_hash,
                "first_name": registration.first_name,
                "last_name": registration.last_name,
            },
        }
        answer = await self._client.call(ORCHESTRATOR, "POST", "/sagas/start", json=request)
        if answer.status_code == 409:
            raise ApiError(409, "idempotency-key-reused", "this Idempotency-Key was used for another registration")
        if answer.status_code != 202:
            raise ApiError(503, "registration-unavailable", "the registration could not be started; try again")
        started: dict[str, Any] = answer.json()
        return started

    async def log_in(self, email: str, password: str) -> Tokens:
        """Opens a session. Takes as long for an unknown address as for a wrong password.

        Raises:
            ApiError: 401 if the two do not belong together, 403 if the account is not active.
        """
        async with self._units_of_work.begin() as work:
            credential = await Credentials(work.connection).by_email(normalised(email))
        stored = credential.password_hash if credential else f"scrypt${self._log2_n}${'00' * 16}$"
        matches = await asyncio.to_thread(verify_password, password, stored)
        if credential is None or not matches:
            raise ApiError(401, "invalid-credentials", "e-mail address and password do not belong together")
        if credential.status != ACTIVE:
            raise ApiError(403, "inactive", "this account is not active")
        return await self._sessions.open(credential)

    async def validate(self, access_token: str) -> Session:
        """Whose token it is. An account that was removed meanwhile has no valid tokens.

        Raises:
            ApiError: 401.
        """
        session = await self._sessions.find(access_token)
        if session is None or await self._credential_of(session) is None:
            raise ApiError(401, "invalid-token", "the access token is not valid")
        return session

    async def refresh(self, refresh_token: str) -> Tokens:
        """A new pair for a refresh token, which is used up last: what fails before can be tried again.

        Raises:
            ApiError: 401.
        """
        session = await self._sessions.find_refresh(refresh_token)
        credential = await self._credential_of(session) if session else None
        if session is None or credential is None:
            raise ApiError(401, "invalid-token", "the refresh token is not valid")
        tokens = await self._sessions.open(credential)
        if not await self._sessions.take_refresh(refresh_token, session, tokens.access_token):
            await self._sessions.close_session(tokens.access_token)
            raise ApiError(401, "invalid-token", "the refresh token has just been used")
        return tokens

    async def log_out(self, access_token: str) -> None:
        """Ends the session."""
        await self._sessions.close_session(access_token)

    async def _credential_of(self, session: Session) -> Credential | None:
        async with self._units_of_work.begin() as work:
            credential = await Credentials(work.connection).by_id(UUID(session.user_id))
        return credential if credential and credential.status == ACTIVE else None
