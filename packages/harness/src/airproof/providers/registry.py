"""Finds providers by name among the installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import cast

from airproof.environment.model import ProviderChoice
from airproof.errors import ProviderUnavailable
from airproof.providers.protocol import GROUP, Provider

PREFERRED = (ProviderChoice.CONTAINERS, ProviderChoice.NATIVE)


def load_provider(choice: ProviderChoice) -> Provider:
    """The provider that an installed package registers under that name; for `auto` the preferred one that is installed.

    Raises:
        ProviderUnavailable: it is not installed; the message lists those there are.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name in PREFERRED if choice is ProviderChoice.AUTO else (choice,):
        if name in found:
            return cast("Provider", found[name].load()())
    installed = ", ".join(sorted(found)) or "none"
    raise ProviderUnavailable(f"no provider {choice.value!r} is installed; installed: {installed}")
