"""One process that owns all processes, ports and directories of a run, and the client that talks to it.

Names are imported when they are first used, because the supervisor's own start must not pay for its client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airproof.supervision.client import Supervisor
    from airproof.supervision.specs import JSON, ForkSpec, GroupInfo, ProcessEvent, ProcessSpec

__all__ = ["JSON", "ForkSpec", "GroupInfo", "ProcessEvent", "ProcessSpec", "Supervisor"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "client" if name == "Supervisor" else "specs"
    return getattr(import_module(f"{__name__}.{module}"), name)
