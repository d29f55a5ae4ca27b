"""Puts an environment that is up back to empty: free cells are replaced by new ones. `--cache` clears the caches."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import CacheError, ExitStatus, UsageError

if TYPE_CHECKING:
    from airproof.providers.protocol import Provision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environment and what to clear."""
    add_environment(parser)
    parser.add_argument("--cache", action="store_true", help="also remove what is cached on this machine")


def run(options: argparse.Namespace) -> int:
    """Replaces cells that no test is using, or clears the caches if asked.

    Raises:
        UsageError: an environment that is up needs what is cached.
    """
    from airproof.cli.provision import selected

    selection = selected(options)
    name = selection.environment.name
    provision = selection.provider.attach(selection.environment, selection.driver)
    if provision is None:
        print(f"environment {name} is not up: nothing to empty")
    elif options.cache:
        provision.close()
        raise UsageError(f"environment {name} is up and made from what is cached; first: airproof down {name}")
    else:
        _renew(provision, selection.environment.workers)
        print(f"environment {name} is empty")
    if options.cache:
        _clear_cache()
    return ExitStatus.OK


def _renew(provision: Provision, count: int) -> None:
    from airproof.cli.provision import fill
    from airproof.reports.progress import TerminalProgress

    progress = TerminalProgress()
    try:
        with progress.show():
            for number, cell in enumerate(provision.cells(), 1):
                with progress.step(f"cell {number} removed"):
                    provision.return_cell(provision.lease_cell(cell.kind), reusable=False)
            fill(provision, count, progress)
    finally:
        provision.close()


def _clear_cache() -> None:
    from airproof.providers.native.prepared import MANIFEST, cache_root

    root = cache_root()
    entries = [manifest.parent for manifest in root.glob(f"*/*/{MANIFEST}")]
    for entry in entries:
        _remove(entry)
    print(f"{len(entries)} cached entries removed from {root}")


def _remove(entry: Path) -> None:
    try:
        shutil.rmtree(entry)
    except OSError as error:
        raise CacheError(f"cannot remove {entry}: {error.strerror}; remove it by hand") from error
