"""Wires: faults at protocol moments, with evidence."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airproof.wire.building import on
    from airproof.wire.control import AppliedRule, Event, Wire, WireGone
    from airproof.wire.holding import Hold, outcome_of
    from airproof.wire.matches import http, kafka, matching, opened, passing, postgres, redis, smtp
    from airproof.wire.rules import Match, Moment, Rule, Scope, captured, glob, regex
    from airproof.wire.specs import LinkSpec

__all__ = [
    "AppliedRule",
    "Event",
    "Hold",
    "LinkSpec",
    "Match",
    "Moment",
    "Rule",
    "Scope",
    "Wire",
    "WireGone",
    "captured",
    "glob",
    "http",
    "kafka",
    "matching",
    "on",
    "opened",
    "outcome_of",
    "passing",
    "postgres",
    "redis",
    "regex",
    "smtp",
]

_MODULES = {
    "building": {"on"},
    "control": {"AppliedRule", "Event", "Wire", "WireGone"},
    "holding": {"Hold", "outcome_of"},
    "specs": {"LinkSpec"},
    "matches": {"http", "kafka", "matching", "opened", "passing", "postgres", "redis", "smtp"},
    "rules": {"Match", "Moment", "Rule", "Scope", "captured", "glob", "regex"},
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
