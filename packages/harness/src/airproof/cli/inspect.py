"""Shows an environment that is up: where its nodes answer, what they are, where they come from; secrets masked."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

if TYPE_CHECKING:
    from airproof.environment.topology import CellDescription
    from airproof.providers.protocol import Provision

MASK = "********"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environment and format."""
    add_environment(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(options: argparse.Namespace) -> int:
    """Prints a table per cell."""
    from airproof.cli.provision import attached
    from airproof.history.redaction import Redactor

    with attached(options) as (selection, provision):
        cells = [_masked(cell) for cell in provision.cells()]
        if options.json:
            environment = Redactor().value(selection.environment.model_dump(mode="json"))
            shown = {"environment": environment, "sources": dict(provision.sources)}
            print(json.dumps({**shown, "cells": [cell.to_json() for cell in cells]}, indent=2))
        else:
            _print(provision, cells)
    return ExitStatus.OK


def _masked(cell: CellDescription) -> CellDescription:
    return replace(cell, secrets=dict.fromkeys(cell.secrets, MASK))


def _print(provision: Provision, cells: list[CellDescription]) -> None:
    from airproof.cli.tables import print_table

    for backing, source in provision.sources.items():
        print(f"{backing}: {source}{' (a stand-in)' if backing in provision.stand_ins else ''}")
    for cell in cells:
        rows = [(n.name, n.role.value, str(n.endpoint), str(n.control or ""), n.source) for n in cell.nodes]
        print_table(("node", "role", "address", "control", "source"), rows, title=f"cell {cell.name}")
        secrets = ", ".join(f"{name}={value}" for name, value in cell.secrets.items())
        print(f"topics {cell.topic_prefix}*, database user {cell.database_user}, {secrets}")
