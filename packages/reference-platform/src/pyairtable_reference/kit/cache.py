"""A read-through cache in Redis that never lets an older value bury a newer one.

What can go wrong: a reader misses and reads version 1; a writer commits version 2 and its invalidation passes; only
then the reader's fill arrives. Three rules, each decided inside Redis by one script, make that harmless.

- The newer version wins. An entry has the version of what it holds. A fill with a lower version is dropped. An
  invalidation says which version there is now: it takes the body out of an older entry and leaves that version behind
  as a tombstone, so that the late fill finds it.
- A fill belongs to the life of its key. A miss leaves a mark in the key, with a random name for the key's life, and the
  fill has to name it. A tombstone that has expired, or was lost when Redis restarted or needed the room, has taken the
  life with it, and no fill that began before is accepted any more, however late it is. So nothing here depends on how
  long a fill may take, and a key that is not there needs no invalidation.
- What was read is returned in any case; only whether it is kept is in question.

Redis being away costs speed only: after at most two timeouts of `TIMEOUT_S` the value is read through. An invalidation
must not be lost, so it fails instead, and who consumes the event tries again. What is lost nevertheless (an operator
deletes a topic) is mended when the entry expires: hits do not prolong it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from uuid import uuid4

from pydantic import ValidationError
from redis.exceptions import RedisError

from pyairtable_reference.kit import metrics
from pyairtable_reference.kit.redis import open_redis

if TYPE_CHECKING:
    from pydantic import TypeAdapter

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
ENTRY_S = 900
MARK_S = 60

_LOOK = """
local life = redis.call('HGET', KEYS[1], 'life')
if life then return {life, redis.call('HGET', KEYS[1], 'body')} end
redis.call('HSET', KEYS[1], 'life', ARGV[1], 'version', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {ARGV[1], false}
"""
_FILL = """
local found = redis.call('HMGET', KEYS[1], 'life', 'version')
if found[1] ~= ARGV[1] or tonumber(found[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'body', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
_INVALIDATE = """
local version = redis.call('HGET', KEYS[1], 'version')
if not version or tonumber(version) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1])
redis.call('HDEL', KEYS[1], 'body')
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""


class Versioned(Protocol):
    """What can be kept: it knows its version, which grows with every change."""

    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Versioned)


class CacheUnavailable(ConnectionError):
    """Redis does not answer; passes by itself."""


class ReadThroughCache(Generic[T]):
    """The cache of one kind of thing, apart for each tenant.

    Args:
        name: of the kind, with the number of its format: entries of another format are not seen.
        form: how a value is written and read.
    """

    def __init__(self, url: str, name: str, form: TypeAdapter[T]) -> None:
        self._redis = open_redis(url, timeout_s=TIMEOUT_S)
        self._name = name
        self._form = form
        self._look, self._fill, self._invalidate = map(self._redis.register_script, (_LOOK, _FILL, _INVALIDATE))

    async def close(self) -> None:
        """Closes all connections."""
        await self._redis.aclose()

    async def get(self, tenant_id: str, id_: str, load: Callable[[], Awaitable[T | None]]) -> T | None:
        """The value of a tenant's thing, from the cache or else by `load`, which reads the truth."""
        key = self._key(tenant_id, id_)
        try:
            life, body = await self._run(self._look, key, uuid4().hex, MARK_S)
        except CacheUnavailable as away:
            log.warning("read through: %s", away)
            self._count("away")
            return await load()
        if body is not None:
            # What cannot be read is as good as not there.
            with suppress(ValidationError):
                value = self._form.validate_json(body)
                self._count("hit")
                return value
        self._count("miss")
        loaded = await load()
        if loaded is not None:
            with suppress(CacheUnavailable):
                await self._run(self._fill, key, life, loaded.version, self._form.dump_json(loaded), ENTRY_S)
        return loaded

    async def invalidate(self, tenant_id: str, id_: str, version: int) -> None:
        """Takes out what is older than that version, and keeps it out. Doing it again changes nothing.

        Raises:
            CacheUnavailable: nobody knows whether it is out: try again.
        """
        await self._run(self._invalidate, self._key(tenant_id, id_), version, ENTRY_S)

    def _key(self, tenant_id: str, id_: str) -> str:
        return f"cache:{self._name}:{tenant_id}:{id_}"

    def _count(self, outcome: str) -> None:
        metrics.CACHE_READS.labels(self._name, outcome).inc()

    async def _run(self, script: Any, key: str, *arguments: Any) -> Any:
        async with _available():
            return await script(keys=[key], args=arguments)


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as failure:
        raise CacheUnavailable(f"the cache is away: {type(failure).__name__}: {failure}") from failure
