"""Takes workspaces out of the cache when something has happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyairtable_reference.kit.envelope import Event, Record
from pyairtable_reference.services.workspace_service.application.directory import RENAMED

if TYPE_CHECKING:
    from pyairtable_reference.kit.cache import ReadThroughCache
    from pyairtable_reference.services.workspace_service.domain.workspace import Workspace

CHANGES = frozenset({RENAMED, "workspace.removed"})


class Invalidation:
    """Consumes the events of workspaces. Needs no inbox: an event that comes again changes nothing."""

    def __init__(self, cache: ReadThroughCache[Workspace]) -> None:
        self._cache = cache

    async def handle(self, record: Record) -> None:
        """Takes out what is older than the event.

        Raises:
            Unprocessable: it is no event.
            CacheUnavailable: Redis does not answer; the event is to be handled again.
        """
        event = Event.of(record)
        if event.event_type in CHANGES:
            await self._cache.invalidate(event.tenant_id, event.aggregate_id, event.version)
