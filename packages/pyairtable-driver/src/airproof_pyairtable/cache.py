"""The cache of workspaces of a cell, as an operator may look into it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airproof.environment.topology import CellDescription, Role
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Cached
from airproof.platform.observation import BusMessage, MessageKind, Snapshot
from airproof_pyairtable.bus import Bus
from airproof_pyairtable.manifest import MANIFEST
from airproof_pyairtable.places import CACHE_KEEPER

if TYPE_CHECKING:
    from redis import Redis

TIMEOUT_S = 5.0
_NO_BODIES = (b'{"workspace": {"title": "of another format"}}', b'{"workspace": {"title": "of an', b"", b"\xff\xfe")
STAYS = -1
"""What Redis says of the life of a key that has no end."""


class WorkspaceCache:
    """See `airproof.platform.entities.CacheAccess`. Safe to use from several threads."""

    cached: Cached = MANIFEST.caches[0]

    def __init__(self, cell: CellDescription, bus: Bus) -> None:
        self._cell = cell
        self._bus = bus

    def entry(self, ref: EntityRef) -> Snapshot | None:
        """What the cache would answer now."""
        bodies: list[Any] = [self._redis.hget(key, "body") for key in self._keys(ref)]
        told = next((json.loads(body) for body in bodies if body), None) or {}
        return Snapshot(told["id"], told["version"], told["name"]) if "id" in told else None

    def expires_in(self, ref: EntityRef) -> float:
        """The life that is left of the keys of the workspace."""
        left: list[Any] = [self._redis.pttl(key) for key in self._keys(ref)]
        return max((math.inf if one == STAYS else max(one, 0) / 1000 for one in left), default=0.0)

    def forget(self, ref: EntityRef) -> None:
        """Deletes every key of the workspace, tombstones too."""
        for key in self._keys(ref):
            self._redis.delete(key)

    def spoils(self, ref: EntityRef) -> Iterator[str]:
        """Writes an entry as another version of the service might have, and some that are cut off or no text."""
        for body in _NO_BODIES:
            for key in self._keys(ref):
                self._redis.hset(key, "body", body)
            yield repr(body)

    def wait_invalidated(self, ref: EntityRef, version: int, *, timeout_s: float) -> BusMessage:
        """Waits until the group that keeps the cache right has handled the event."""

        def told() -> BusMessage | None:
            events = (one for one in self._bus.log.of(ref.tenant.id, (), ()) if one.kind is MessageKind.EVENT)
            return next((one for one in events if (one.aggregate_id, one.version) == (ref.id, version)), None)

        event = self._bus.log.wait(told, timeout_s, f"version {version} of workspace {ref.id}")
        self._bus.wait_consumed(CACHE_KEEPER, event, timeout_s=timeout_s)
        return event

    def invalidate_again(self, event: BusMessage, *, timeout_s: float) -> None:
        """Produces the event's record once more and waits until the same group has handled it."""
        self._bus.wait_consumed(CACHE_KEEPER, self._bus.send_again(event), timeout_s=timeout_s)

    def connection(self) -> Redis:
        """The connection to the cell's Redis."""
        return self._redis

    def close(self) -> None:
        """Closes all connections."""
        if "_redis" in vars(self):
            self._redis.close()

    def _keys(self, ref: EntityRef) -> list[bytes]:
        """The keys of the workspace, whatever else they are made of; a cell's Redis is small."""
        return list(self._redis.scan_iter(match=f"cache:*{ref.id}*", count=1000))

    @cached_property
    def _redis(self) -> Redis:
        from redis import Redis

        endpoint = self._cell.node(Role.REDIS.value).endpoint
        return Redis(endpoint.host, endpoint.port, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
