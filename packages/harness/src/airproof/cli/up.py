"""Brings an environment up, with a cell for every worker, and leaves it up."""

from __future__ import annotations

import argparse

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

add_arguments = add_environment


def run(options: argparse.Namespace) -> int:
    """Opens the environment to be kept and fills its pool of cells; what is already there stays as it is."""
    from airproof.cli.provision import fill, selected
    from airproof.reports.progress import TerminalProgress

    selection = selected(options)
    environment, progress = selection.environment, TerminalProgress()
    with progress.show():
        provision = selection.provider.open(environment, selection.driver, keep=True, progress=progress)
        try:
            fill(provision, environment.workers, progress)
        finally:
            provision.close()
    for backing, source in provision.sources.items():
        print(f"{backing}: {source}")
    for stand_in in provision.stand_ins:
        print(f"{stand_in}: a stand-in, so what depends on the real product is not proven")
    print(f"environment {environment.name} is up; end it with: airproof down {environment.name}")
    return ExitStatus.OK
