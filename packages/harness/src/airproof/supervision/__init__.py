"""One process that owns all processes, ports and directories of a run, and the client that talks to it."""

from __future__ import annotations

from airproof.supervision.client import Supervisor
from airproof.supervision.specs import JSON, ForkSpec, GroupInfo, ProcessEvent, ProcessSpec

__all__ = ["JSON", "ForkSpec", "GroupInfo", "ProcessEvent", "ProcessSpec", "Supervisor"]
