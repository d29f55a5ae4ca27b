"""What commands do with a provider: load it, and attach to the environment that is up."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airproof.environment.loader import select
from airproof.environment.model import Environment
from airproof.errors import NotReady
from airproof.platform.driver import Driver
from airproof.providers.protocol import Progress, Provider, Provision
from airproof.providers.registry import load_provider


@dataclass(frozen=True, slots=True)
class Selection:
    """What the arguments name."""

    environment: Environment
    driver: Driver
    provider: Provider


def selected(options: argparse.Namespace) -> Selection:
    """The environment, its platform's driver and its provider.

    Raises:
        UsageError: the environment or its platform does not exist.
        ProviderUnavailable: its provider is not installed.
    """
    environment, driver = select(options.environment, options.settings)
    return Selection(environment, driver, load_provider(environment.provider))


@contextmanager
def attached(options: argparse.Namespace) -> Iterator[tuple[Selection, Provision]]:
    """The environment that was left up, as long as the context lasts.

    Raises:
        NotReady: it is not up.
    """
    selection = selected(options)
    provision = selection.provider.attach(selection.environment, selection.driver)
    if provision is None:
        name = selection.environment.name
        raise NotReady(f"environment {name!r} is not up; bring it up with: airproof up {name}")
    try:
        yield selection, provision
    finally:
        provision.close()


def fill(provision: Provision, count: int, progress: Progress) -> None:
    """Leases so many cells at once, which makes those that are missing, and gives them back to the pool."""
    cells = []
    for number in range(1, count + 1):
        with progress.step(f"cell {number} of {count}"):
            cells.append(provision.lease_cell())
    for cell in cells:
        provision.return_cell(cell, reusable=True)
