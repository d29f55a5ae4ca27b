"""The connection to Redis."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost


def open_redis(url: str, *, timeout_s: float) -> Redis:
    """A client that connects when it is first used.

    A connection that was kept may have been closed by a restart of Redis, so what is lost with one is asked once more
    on a new one; a timeout is not waited for twice.
    """
    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,))
    timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return Redis.from_pool(ConnectionPool.from_url(url, connection_class=_Connection, retry=retry, **timeouts))


class _Connection(Connection):
    async def send_packed_command(self, *command: Any, **options: Any) -> None:
        """Sends a command; one that the other side has closed is lost, which uvloop tells as an error of the caller."""
        try:
            await super().send_packed_command(*command, **options)
        except RuntimeError as closed:
            raise ConnectionLost(str(closed)) from closed
