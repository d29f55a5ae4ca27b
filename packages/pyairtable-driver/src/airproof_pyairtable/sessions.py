"""Logins of a cell's users: made, shown, exchanged, made older; and accounts, locked."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg.errors import UniqueViolation

from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.sessions import Login
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.doors import Doors, age
from airproof_pyairtable.driver import TUNABLES
from airproof_pyairtable.http import Http, told
from airproof_pyairtable.manifest import AUTH, GATEWAY
from airproof_pyairtable.places import database_of

if TYPE_CHECKING:
    import httpx
    from redis import Redis

_PASSWORDS = "SELECT password_hash AS kept FROM credentials WHERE tenant_id = %(tenant)s"
SLOW_LOG2_N = 17
ACCESS_S, EXCHANGE_S = 24 * 3600, 7 * 24 * 3600
_KEEP = "UPDATE credentials SET password_hash = %(kept)s WHERE id::text = %(user)s"
_LOCK = "UPDATE credentials SET status = %(status)s WHERE id::text = %(user)s"


class Sessions:
    """See `airproof.platform.sessions.SessionAccess`."""

    def __init__(self, doors: Doors, http: Http, databases: Databases, redis: Callable[[], Redis]) -> None:
        self._doors = doors
        self._http = http
        self._databases = databases
        self._redis = redis
        self._keys: dict[str, set[Any]] = {}

    def log_in(self, user: EntityRef) -> Login | None:
        """Logs the user in with what they have registered with."""
        known = self._doors.known(user.owner)
        return self._got("/auth/login", {name: known[name] for name in ("email", "password")})

    def exchange(self, login: Login) -> Login | None:
        """Another pair of tokens for the refresh token."""
        return self._got("/auth/refresh", {"refresh_token": login.exchange})

    def ends_in_s(self, login: Login) -> float | None:
        """What `/auth/me` says of the token's end."""
        answer = self._http.ask("GET", GATEWAY, "/auth/me", headers={"Authorization": f"Bearer {login.token}"})
        return float(answer.json()["exp"]) - time.time() if _is_yes(answer) else None

    def log_out(self, login: Login) -> None:
        """Logs the token out."""
        answer = self._http.ask("POST", GATEWAY, "/auth/logout", headers={"Authorization": f"Bearer {login.token}"})
        if not answer.is_success:
            raise PlatformError(f"a logout was answered {told(answer)}")

    def left_by_another_version(self, user: EntityRef, *, newer: bool) -> Login:
        """Puts a pair of tokens where sessions are, in the form of the first version."""
        token, exchange = (secrets.token_urlsafe(32) for _ in range(2))
        known = {"user_id": user.owner, "tenant_id": user.tenant.id, "email": self._doors.known(user.owner)["email"]}
        known |= {"role": "owner", "added_by_a_newer_version": True} if newer else {"role": "owner"}
        now = int(time.time())
        pair = (("access", token, exchange, ACCESS_S), ("refresh", exchange, token, EXCHANGE_S))
        for kind, own, other, lasts_s in pair:
            kept = {**known, "iat": now, "exp": now + lasts_s, "partner": _hash(other)}
            self._redis().set(f"{kind}:{_hash(own)}", json.dumps(kept), ex=lasts_s)
        return Login(token, exchange, ACCESS_S)

    def pass_time(self, login: Login, by_s: float) -> None:
        """Has the keys that came with the login live less."""
        age(self._redis(), self._keys[login.token], round(by_s * 1000))

    def endless(self) -> tuple[str, ...]:
        """The kinds of keys, other than those of the cache, whose time is not limited."""
        redis: Any = self._redis()
        endless = (bytes(key).partition(b":")[0].decode() for key in redis.scan_iter() if redis.ttl(key) == -1)
        return tuple(sorted({*endless} - {"cache"}))

    @contextmanager
    def locked(self, user: EntityRef) -> Iterator[None]:
        """Sets the status of the user's credentials; back again only if nobody else was given their address."""
        self._databases.all(database_of(AUTH), _LOCK, {"user": user.owner, "status": "locked"})
        try:
            yield
        finally:
            with suppress(UniqueViolation):
                self._databases.all(database_of(AUTH), _LOCK, {"user": user.owner, "status": "active"})

    def slow_to_check(self, user: EntityRef) -> None:
        """Keeps the password as if it had been set where hashes cost more: each says how much."""
        salt, password = secrets.token_bytes(16), self._doors.known(user.owner)["password"].encode()
        hashed = hashlib.scrypt(password, salt=salt, n=2**SLOW_LOG2_N, r=8, p=1, maxmem=2 ** (SLOW_LOG2_N + 11))
        kept = f"scrypt${SLOW_LOG2_N}${salt.hex()}${hashed.hex()}"
        self._databases.all(database_of(AUTH), _KEEP, {"user": user.owner, "kept": kept})

    def kept_passwords(self, tenant: Tenant) -> tuple[str, ...]:
        """The hashes of the tenant's credentials."""
        return tuple(row["kept"] for row in self._databases.all(database_of(AUTH), _PASSWORDS, {"tenant": tenant.id}))

    def kept_cheaply(self, tenant: Tenant) -> tuple[str, ...]:
        """The hashes whose cost is not the one that auth-service is started with."""
        dear = f"scrypt${TUNABLES['PASSWORD_SCRYPT_LOG2_N']}$"
        return tuple(kept for kept in self.kept_passwords(tenant) if not kept.startswith(dear))

    def _got(self, path: str, body: dict[str, str]) -> Login | None:
        before = set(self._redis().keys())
        answer = self._http.ask("POST", GATEWAY, path, json=body)
        if not _is_yes(answer):
            return None
        pair = self._doors.pair_of(answer)
        self._keys[pair["access_token"]] = set(self._redis().keys()) - before
        return Login(pair["access_token"], pair["refresh_token"], float(pair["expires_in"]))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_yes(answer: httpx.Response) -> bool:
    if answer.status_code not in {200, 401, 403}:
        raise PlatformError(f"whether somebody is let in was answered {told(answer)}")
    return answer.status_code == 200
