"""Ends an environment that was left up and removes everything it had."""

from __future__ import annotations

import argparse

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

add_arguments = add_environment


def run(options: argparse.Namespace) -> int:
    """Stops the environment; one that is not up is no error."""
    from airproof.cli.provision import selected

    selection = selected(options)
    provision = selection.provider.attach(selection.environment, selection.driver)
    if provision is None:
        print(f"environment {selection.environment.name} is not up")
    else:
        provision.stop()
        print(f"environment {selection.environment.name} is down")
    return ExitStatus.OK
