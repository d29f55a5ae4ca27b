"""Where workspaces are kept for quick reading."""

from __future__ import annotations

from pydantic import TypeAdapter

from pyairtable_reference.kit.cache import ReadThroughCache
from pyairtable_reference.services.workspace_service.domain.workspace import Workspace

_NAME = "workspace.1"
_FORM = TypeAdapter(Workspace)


def open_cache(url: str) -> ReadThroughCache[Workspace]:
    """The cache of workspaces; connects when it is first used."""
    return ReadThroughCache(url, _NAME, _FORM)
