"""Asks every node of an environment that is up how it is. Status 0: all healthy; 1: one is not, or it is not up."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

if TYPE_CHECKING:
    from airproof.cli.nodes import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environment and format."""
    add_environment(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Prints one row per node."""
    from airproof.cli.nodes import ask_all
    from airproof.cli.provision import attached

    with attached(options) as (selection, provision):
        answers = ask_all(provision, selection.driver.manifest)
    if options.json:
        print(json.dumps([_plain(answer) for answer in answers], indent=2))
    else:
        _print_table(answers)
    return ExitStatus.OK if answers and all(answer.healthy for answer in answers) else ExitStatus.FAILED


def _plain(answer: Answer) -> dict[str, object]:
    return {
        "cell": answer.cell,
        "node": answer.node.name,
        "endpoint": str(answer.node.endpoint),
        "process": answer.process,
        "healthy": answer.healthy,
        "problem": answer.problem,
    }


def _print_table(answers: Sequence[Answer]) -> None:
    from airproof.cli.tables import bad, good, print_table

    rows = [
        (a.cell, a.node.name, str(a.node.endpoint), a.process, good("healthy") if a.healthy else bad(a.problem))
        for a in answers
    ]
    print_table(("cell", "node", "address", "process", "health"), rows)
