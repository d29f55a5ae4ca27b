"""Workspaces as their owners use them: list, read, rename."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.event_store import Cause, Fact, VersionConflict
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.services.workspace_service.adapters.workspaces import Workspaces
from pyairtable_reference.services.workspace_service.application.steps import SERVICE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from pyairtable_reference.kit.cache import ReadThroughCache
    from pyairtable_reference.kit.http.security import Identity
    from pyairtable_reference.kit.unit_of_work import UnitsOfWork
    from pyairtable_reference.services.workspace_service.domain.workspace import Workspace

RENAMED = "workspace.renamed"


class Directory:
    """The use cases of workspace-service.

    Args:
        replica: where lists are read: a new workspace may take a moment to appear.
        cache: where single workspaces are read; what happens to them takes them out, see `Invalidation`.
    """

    def __init__(self, units_of_work: UnitsOfWork, replica: AsyncEngine, cache: ReadThroughCache[Workspace]) -> None:
        self._units_of_work = units_of_work
        self._replica = replica
        self._cache = cache

    async def owned_by(self, owner: Identity, *, offset: int, limit: int) -> list[Workspace]:
        """A user's workspaces, oldest first."""
        async with self._replica.connect() as connection:
            found = Workspaces(connection).owned_by(owner.tenant_id, owner.user_id, offset=offset, limit=limit)
            return await found

    async def get(self, owner: Identity, workspace_id: UUID) -> Workspace:
        """A user's workspace; after a change, the one before it until the event of the change has been consumed.

        Raises:
            ApiError: 404, also for somebody else's.
        """

        async def load() -> Workspace | None:
            async with self._units_of_work.begin() as work:
                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)

        return _owned(owner, workspace_id, await self._cache.get(owner.tenant_id, str(workspace_id), load))

    async def rename(
        self, owner: Identity, workspace_id: UUID, name: str, *, expected_version: int, key: str
    ) -> Workspace:
        """Gives a workspace another name, and returns its next version.

        Args:
            key: the same key is the same request: done before, it is answered as it was then. Empty for none.

        Raises:
            ApiError: 404; 409 if the workspace is at another version, or the key was used for another renaming of it.
        """
        try:
            async with self._units_of_work.begin() as work:
                workspaces = Workspaces(work.connection)
                before = _owned(owner, workspace_id, await workspaces.get(owner.tenant_id, workspace_id))
                renamed = replace(before, name=name, version=expected_version + 1)
                correlation_id = logs.current_correlation()
                cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)
                fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": str(before.owner_id), "name": name})
                await work.events.append(
                    cause, "workspace", str(workspace_id), [fact], expected_version=expected_version
                )
                if not await workspaces.replace(renamed):
                    raise VersionConflict(f"workspace {workspace_id} is not at version {expected_version} any more")
                # Asked once the version is taken: all that came before is committed, so that none of it is missed.
                if key and await work.events.knows(str(workspace_id), key, up_to=expected_version):
                    raise ApiError(409, "idempotency-key-reused", "this Idempotency-Key was used for another renaming")
        except VersionConflict as conflict:
            if key and await self._was_done(renamed, key):
                return renamed
            raise ApiError(409, "version-conflict", f"{conflict}; read it again") from conflict
        return renamed

    async def _was_done(self, renamed: Workspace, key: str) -> bool:
        async with self._units_of_work.begin() as work:
            event = await work.events.find(str(renamed.id), renamed.version)
        return event is not None and event.causation_id == key and event.payload.get("name") == renamed.name


def _owned(owner: Identity, workspace_id: UUID, found: Workspace | None) -> Workspace:
    if found is None or found.owner_id != owner.user_id:
        raise ApiError(404, "not-found", f"there is no workspace {workspace_id}")
    return found
