"""The two ways to a service: with a session through the gateway, or in the gateway's place."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import jwt

from airproof.errors import PlatformError
from airproof.platform.entities import EntityRef
from airproof.platform.requests import ServiceToken
from airproof_pyairtable.http import Http, told
from airproof_pyairtable.manifest import GATEWAY, MANIFEST, WORKSPACE

if TYPE_CHECKING:
    from redis import Redis

TOKEN_LIFETIME_S = 60
LAST_MS = 10_000


class Doors:
    """The two ways to workspace-service: with a session through the gateway, or in the gateway's place.

    Args:
        secrets: of the cell.
        redis: opens the cell's Redis, which holds the sessions.
    """

    def __init__(self, http: Http, secrets: Mapping[str, str], redis: Callable[[], Redis]) -> None:
        self._http = http
        self._redis = redis
        self._secrets = secrets
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, Any]] = {}
        self._tokens: dict[str, str] = {}
        self._shown: set[str] = set()

    def learn(self, user_id: str, fields: Mapping[str, Any]) -> None:
        """Remembers what a user has registered with."""
        with self._lock:
            self._known[user_id] = fields

    def known(self, user_id: str) -> Mapping[str, Any]:
        """What a user has registered with; e-mail address and password of nobody for one that is not known."""
        with self._lock:
            return self._known.get(user_id, {"email": f"{user_id}@nobody.example", "password": "nobody"})

    def through_the_gateway(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks with the user's session; with a new one where the platform has forgotten it."""
        answer = self._with_session(user, method, path, **more)
        if answer.status_code == 401:
            with self._lock:
                self._tokens.pop(user.owner, None)
            answer = self._with_session(user, method, path, **more)
        return answer

    def in_its_place(self, node: str, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks an instance of the service with the token and the headers that the gateway would send."""
        headers = {**more.pop("headers", {}), **self.identity(user, WORKSPACE.service, ServiceToken.VALID)}
        return self._http.ask(method, node, path, headers=headers, **more)

    def identity(
        self, user: EntityRef, service: str, kind: ServiceToken, *, lives_s: int = TOKEN_LIFETIME_S
    ) -> dict[str, str]:
        """The headers with which the gateway passes a user's request on, with that kind of token."""
        headers = {"X-User-ID": user.owner, "X-Tenant-ID": user.tenant.id}
        if kind in {ServiceToken.NONE, ServiceToken.OPERATOR}:
            return headers
        shift = {ServiceToken.EXPIRED: -2 * TOKEN_LIFETIME_S, ServiceToken.NOT_YET: TOKEN_LIFETIME_S}
        now = int(time.time()) + shift.get(kind, 0)
        another = next(one.name for one in MANIFEST.services if one.name != service)
        callees = {ServiceToken.FOR_ANOTHER: another, ServiceToken.FOR_ALIKE: f"not-{service}"}
        secret = "f" * 64 if kind is ServiceToken.FORGED else self._secrets["service_secret"]
        claims = {
            "iss": GATEWAY,
            "aud": callees.get(kind, service),
            "iat": now,
            "exp": now + lives_s,
            "jti": str(uuid.uuid4()),
        }
        claims.pop({ServiceToken.ENDLESS: "exp", ServiceToken.FOR_NOBODY: "aud"}.get(kind, ""), None)
        if kind is ServiceToken.UNSIGNED:
            return {**headers, MANIFEST.token_header: jwt.encode(claims, None, algorithm="none")}
        return {**headers, MANIFEST.token_header: jwt.encode(claims, secret, algorithm="HS256")}

    def session(self, user: EntityRef) -> str:
        """The token of the user's session; they log in where they have none."""
        return self._token(user)

    def logged_out(self, user: EntityRef) -> str:
        """The token of a session of the user that was used and ended, or what its other token is still good for."""
        pair = self._new_session(user)
        self._post("/auth/logout", 204, headers=self._use(pair))
        return self._exchange(pair) or pair["access_token"]

    def exchanged(self, user: EntityRef) -> str:
        """The token of a pair of the user that was used and exchanged, or what the pair is good for once more."""
        pair = self._new_session(user)
        self._use(pair)
        if not self._exchange(pair):
            raise PlatformError("a pair of tokens cannot be exchanged for another one")
        return self._exchange(pair) or pair["access_token"]

    def expired(self, user: EntityRef) -> str:
        """The token of a session of the user whose time, as far as it was said to have one, was taken off.

        It is used when little is left, which must not make that more.
        """
        redis = self._redis()
        before = set(redis.keys())
        pair = self._new_session(user)
        keys = set(redis.keys()) - before
        age(redis, keys, int(pair["expires_in"]) * 1000 - LAST_MS)
        self._use(pair)
        age(redis, keys, LAST_MS)
        return pair["access_token"]

    def refresh(self, user: EntityRef) -> str:
        """The token of a pair of the user that is there to get another one, or what one gets for the other one."""
        pair = self._new_session(user)
        return self._exchange({"refresh_token": pair["access_token"]}) or pair["refresh_token"]

    def exchange_at_once(self, user: EntityRef, times: int) -> int:
        """How often a new pair of the user's, exchanged by so many at the same time, gives one that lets them in."""
        pair, together = self._new_session(user), threading.Barrier(times)

        def exchange(_: int) -> str:
            together.wait()
            return self._exchange(pair)

        with ThreadPoolExecutor(times, thread_name_prefix="exchange") as users:
            got = list(filter(None, users.map(exchange, range(times))))
        return sum(self._lets_in(token) for token in got)

    def shown(self) -> tuple[str, ...]:
        """The passwords and tokens of all users."""
        with self._lock:
            return (*(one["password"] for one in self._known.values()), *self._shown)

    def pair_of(self, answer: httpx.Response) -> dict[str, str]:
        """The tokens that were answered, which are secret from now on."""
        pair = {name: str(value) for name, value in answer.json().items()}
        with self._lock:
            self._shown |= {pair["access_token"], pair["refresh_token"]}
        return pair

    def _use(self, pair: Mapping[str, str]) -> dict[str, str]:
        """Asks with the pair, and returns the headers that were sent."""
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        self._http.ask("GET", GATEWAY, "/auth/me", headers=bearer)
        return bearer

    def _lets_in(self, token: str) -> bool:
        bearer = {"Authorization": f"Bearer {token}"}
        return self._http.ask("GET", GATEWAY, "/auth/me", headers=bearer).status_code == 200

    def _new_session(self, user: EntityRef) -> dict[str, str]:
        known = self.known(user.owner)
        return self.pair_of(self._post("/auth/login", 200, json={name: known[name] for name in ("email", "password")}))

    def _exchange(self, pair: Mapping[str, str]) -> str:
        """The new token that the pair is exchanged for; empty if it is not."""
        answer = self._http.ask("POST", GATEWAY, "/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        return self.pair_of(answer)["access_token"] if answer.status_code == 200 else ""

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
                known = self._known[user.owner]
                token = self._tokens[user.owner] = self._http.log_in(known["email"], known["password"])
                self._shown.add(token)
            return self._tokens[user.owner]


def age(redis: Redis, keys: Iterable[Any], passed_ms: int) -> None:
    """Has the keys be as much older; without an end they do not age."""
    for key in keys:
        left_ms: Any = redis.pttl(key)
        if left_ms > passed_ms:
            redis.pexpire(key, left_ms - passed_ms)
        elif left_ms > 0:
            redis.delete(key)
