"""The connection to Redis."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost


def open_redis(url: str, *, timeout_s: float) -> Redis:
    """A client that connects when it is first used.

    A connection that was kept may have been closed by a restart of Redis, so what is lost with one is asked once more
    on a new one; a timeout is not waited for twice.
    """
    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,))
    return Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry)
