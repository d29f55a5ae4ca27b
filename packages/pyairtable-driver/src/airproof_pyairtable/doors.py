"""The two ways to a service: with a session through the gateway, or in the gateway's place."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from airproof.errors import PlatformError
from airproof.platform.entities import EntityRef
from airproof.platform.requests import ServiceToken
from airproof_pyairtable.http import Http, told
from airproof_pyairtable.manifest import GATEWAY, WORKSPACE

TOKEN_LIFETIME_S = 60


class Doors:
    """The two ways to workspace-service: with a session through the gateway, or in the gateway's place.

    Args:
        secrets: of the cell.
    """

    def __init__(self, http: Http, secrets: Mapping[str, str]) -> None:
        self._http = http
        self._secrets = secrets
        self._lock = threading.Lock()
        self._credentials: dict[str, tuple[str, str]] = {}
        self._tokens: dict[str, str] = {}

    def learn(self, user_id: str, email: str, password: str) -> None:
        """Remembers how a user logs in."""
        with self._lock:
            self._credentials[user_id] = email, password

    def credentials(self, user_id: str) -> tuple[str, str]:
        """E-mail address and password of a user; of nobody for one that is not known."""
        with self._lock:
            return self._credentials.get(user_id, (f"{user_id}@nobody.example", "nobody"))

    def through_the_gateway(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks with the user's session; with a new one where the platform has forgotten it."""
        answer = self._with_session(user, method, path, **more)
        if answer.status_code == 401:
            with self._lock:
                self._tokens.pop(user.owner, None)
            answer = self._with_session(user, method, path, **more)
        return answer

    def in_its_place(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks with the token and the headers that the gateway would send."""
        headers = {**more.pop("headers", {}), **self.identity(user, WORKSPACE.service, ServiceToken.VALID)}
        return self._http.ask(method, WORKSPACE.service, path, headers=headers, **more)

    def identity(self, user: EntityRef, service: str, kind: ServiceToken) -> dict[str, str]:
        """The headers with which the gateway passes a user's request on, with that kind of token."""
        headers = {"X-User-ID": user.owner, "X-Tenant-ID": user.tenant.id}
        if kind is ServiceToken.NONE:
            return headers
        now = int(time.time()) - (2 * TOKEN_LIFETIME_S if kind is ServiceToken.EXPIRED else 0)
        callee = f"not-{service}" if kind is ServiceToken.FOR_ANOTHER else service
        secret = "f" * 64 if kind is ServiceToken.FORGED else self._secrets["service_secret"]
        claims = {"iss": GATEWAY, "aud": callee, "iat": now, "exp": now + TOKEN_LIFETIME_S, "jti": str(uuid.uuid4())}
        if kind is ServiceToken.UNSIGNED:
            return {**headers, "X-Service-Token": jwt.encode(claims, None, algorithm="none")}
        return {**headers, "X-Service-Token": jwt.encode(claims, secret, algorithm="HS256")}

    def session(self, user: EntityRef) -> str:
        """The token of the user's session; they log in where they have none."""
        return self._token(user)

    def logged_out(self, user: EntityRef) -> str:
        """The token of a session of the user that was used and ended, or what its other token is still good for."""
        pair = self._new_session(user)
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        self._http.ask("GET", GATEWAY, "/auth/me", headers=bearer)
        self._post("/auth/logout", 204, headers=bearer)
        return self._exchange(pair) or pair["access_token"]

    def exchanged(self, user: EntityRef) -> str:
        """The token of a pair of the user that was exchanged for another, or what the pair is good for once more."""
        pair = self._new_session(user)
        if not self._exchange(pair):
            raise PlatformError("a pair of tokens cannot be exchanged for another one")
        return self._exchange(pair) or pair["access_token"]

    def _new_session(self, user: EntityRef) -> dict[str, str]:
        email, password = self.credentials(user.owner)
        pair = self._post("/auth/login", 200, json={"email": email, "password": password}).json()
        return {name: str(value) for name, value in pair.items()}

    def _exchange(self, pair: Mapping[str, str]) -> str:
        """The new token that the pair is exchanged for; empty if it is not."""
        answer = self._http.ask("POST", GATEWAY, "/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        return str(answer.json()["access_token"]) if answer.status_code == 200 else ""

    def _post(self, path: str, status: int, **more: Any) -> httpx.Response:
        answer = self._http.ask("POST", GATEWAY, path, **more)
        if answer.status_code != status:
            raise PlatformError(f"POST {path} was answered {told(answer)}")
        return answer

    def _with_session(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**more.pop("headers", {}), "Authorization": f"Bearer {self._token(user)}"}
        return self._http.ask(method, GATEWAY, path, headers=headers, **more)

    def _token(self, user: EntityRef) -> str:
        with self._lock:
            if user.owner not in self._tokens:
                self._tokens[user.owner] = self._http.log_in(*self._credentials[user.owner])
            return self._tokens[user.owner]
