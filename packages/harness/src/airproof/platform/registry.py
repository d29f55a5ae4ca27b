"""Finds drivers by name among the installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from airproof.errors import UsageError
from airproof.platform.driver import Driver

GROUP = "airproof.platforms"


def load_driver(name: str) -> Driver:
    """The driver that an installed package registers under that name.

    Raises:
        UsageError: none does; the message lists those there are.
    """
    found = entry_points(group=GROUP)
    for entry in found:
        if entry.name == name:
            return cast("Driver", entry.load()())
    known = sorted(entry.name for entry in found)
    raise UsageError(f"no driver is installed for platform {name!r}; installed: {known or 'none'}")
