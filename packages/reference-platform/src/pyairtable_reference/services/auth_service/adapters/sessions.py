"""Where sessions are kept: opaque tokens in Redis, stored only as hashes."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.redis import open_redis

if TYPE_CHECKING:
    from pyairtable_reference.services.auth_service.domain.credential import Credential

TIMEOUT_S = 2.0
ACCESS_S = 24 * 3600
REFRESH_S = 7 * 24 * 3600
TAKEN_S = 60

_TAKE = """
if redis.call('DEL', KEYS[1], KEYS[2]) > 0 then
    redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])
    return 1
end
return redis.call('GET', KEYS[3]) == ARGV[1] and 1 or 0
"""
"""The command is sent again where its answer was lost, and has to be answered then as it was."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in. `partner` is the hash of the other token of the pair."""

    user_id: str
    tenant_id: str
    email: str
    role: str
    iat: int
    exp: int
    partner: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens as the client gets it."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"
    expires_in: int = ACCESS_S


class Sessions:
    """All sessions. The tokens of a pair go together, with one command: what is broken off can be tried again.

    Every method raises `ApiError` 503 when Redis is away.
    """

    def __init__(self, url: str) -> None:
        self._redis = open_redis(url, timeout_s=TIMEOUT_S)

    async def close(self) -> None:
        """Closes all connections."""
        await self._redis.aclose()

    async def open(self, credential: Credential) -> Tokens:
        """A new session."""
        tokens = Tokens(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        access, refresh = _hash(tokens.access_token), _hash(tokens.refresh_token)
        now = int(time.time())
        session = {
            "user_id": str(credential.id),
            "tenant_id": credential.tenant_id,
            "email": credential.email,
            "role": "owner",
            "iat": now,
        }
        async with self._available():
            await self._redis.set(f"access:{access}", _json(session, now + ACCESS_S, refresh), ex=ACCESS_S)
            await self._redis.set(f"refresh:{refresh}", _json(session, now + REFRESH_S, access), ex=REFRESH_S)
        return tokens

    async def find(self, access_token: str) -> Session | None:
        """The session of an access token."""
        async with self._available():
            return _session(await self._redis.get(f"access:{_hash(access_token)}"))

    async def find_refresh(self, refresh_token: str) -> Session | None:
        """The session of a refresh token, which is not used up."""
        async with self._available():
            return _session(await self._redis.get(f"refresh:{_hash(refresh_token)}"))

    async def take_refresh(self, refresh_token: str, session: Session, taker: str) -> bool:
        """Uses up a refresh token and the access token of its pair. Of several takers at once one is told that it did.

        Args:
            taker: the access token that the pair is exchanged for.
        """
        refresh = _hash(refresh_token)
        keys = f"refresh:{refresh}", f"access:{session.partner}", f"taken:{refresh}"
        async with self._available():
            return bool(await self._redis.eval(_TAKE, len(keys), *keys, _hash(taker), TAKEN_S))

    async def close_session(self, access_token: str) -> None:
        """Ends a session: neither token works any more."""
        async with self._available():
            access = f"access:{_hash(access_token)}"
            session = _session(await self._redis.get(access))
            if session:
                await self._redis.delete(access, f"refresh:{session.partner}")

    @asynccontextmanager
    async def _available(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as failure:
            raise ApiError(503, "sessions-unavailable", "try again") from failure


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _json(session: dict[str, object], expires_at: int, partner: str) -> str:
    return json.dumps(session | {"exp": expires_at, "partner": partner})


def _session(stored: str | bytes | None) -> Session | None:
    """What another version has kept besides is not known here."""
    kept = json.loads(stored) if stored else None
    return Session(**{name: kept[name] for name in Session.__dataclass_fields__}) if kept else None
