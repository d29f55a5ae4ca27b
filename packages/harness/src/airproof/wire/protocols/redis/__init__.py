"""Redis, RESP2 and RESP3."""

from airproof.wire.protocols.redis.session import RedisSession

__all__ = ["RedisSession"]
