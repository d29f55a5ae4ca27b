"""Keys of Redis, as of a cache, damaged or removed behind the platform's back; put back unless written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported
from airproof.faults.data.damage import Damage
from airproof.faults.redis_connection import RedisConnection, RedisError
from airproof.faults.targets import Target
from airproof.history import OpenFault


@contextmanager
def removed_key(target: Target, key: str) -> Iterator[None]:
    """The key is not there.

    Raises:
        FaultNotObserved: there is no such key.
        FaultNotHealed: it could not be put back.
    """
    with target.history.fault("key removed", key) as record, _redis(target) as redis:
        before = _dump(redis, key)
        ttl_ms = _ttl_ms(redis, key)
        redis.ask("DEL", key)
        record.evidence(f"{key} removed", bytes=len(before))
        try:
            yield
        finally:
            _put_back(redis, key, None, before, ttl_ms, record)


@contextmanager
def damaged_key(target: Target, key: str, damage: Damage) -> Iterator[bytes]:
    """The key's string is flipped or truncated; yields what it holds then.

    Raises:
        FaultUnsupported: the key holds no string, or there is nothing in it to change.
        FaultNotObserved: there is no such key.
        FaultNotHealed: the old value could not be put back.
    """
    with target.history.fault("key damaged", key, damage=str(damage)) as record, _redis(target) as redis:
        before = _dump(redis, key)
        ttl_ms = _ttl_ms(redis, key)
        kind = redis.ask("TYPE", key)
        if kind != "string":
            raise FaultUnsupported(f"key {key!r} is a {kind!s}; only strings can be {damage}, other kinds removed")
        value = redis.ask("GET", key)
        text = value.decode("latin-1") if isinstance(value, bytes) else ""
        changed = next(damage.candidates(text), None)
        if changed is None:
            raise FaultUnsupported(f"key {key!r} cannot be {damage}: there is nothing to change in it")
        redis.ask("SET", key, changed.encode("latin-1"), "KEEPTTL")
        record.evidence(f"{key} {damage}", bytes=len(text))
        now = _dump(redis, key)
        try:
            yield changed.encode("latin-1")
        finally:
            _put_back(redis, key, now, before, ttl_ms, record)


def _redis(target: Target) -> RedisConnection:
    return RedisConnection(target.description.node(Role.REDIS.value).endpoint)


def _dump(redis: RedisConnection, key: str) -> bytes:
    dumped = redis.ask("DUMP", key)
    if not isinstance(dumped, bytes):
        raise FaultNotObserved(f"there is no key {key!r} in Redis")
    return dumped


def _ttl_ms(redis: RedisConnection, key: str) -> int:
    left = redis.ask("PTTL", key)
    return max(0, left) if isinstance(left, int) else 0


def _put_back(
    redis: RedisConnection, key: str, damaged: bytes | None, before: bytes, ttl_ms: int, record: OpenFault
) -> None:
    try:
        if redis.ask("DUMP", key) != damaged:
            record.healed(f"{key} was written or removed meanwhile")
            return
        redis.ask("RESTORE", key, ttl_ms, before, "REPLACE")
    except RedisError as error:
        raise FaultNotHealed(f"key {key!r} could not be put back: {error}") from error
    record.healed(f"{key} is as it was")
