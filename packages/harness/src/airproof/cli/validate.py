"""Shows what this machine has and lacks for an environment, and how to get what is missing. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

if TYPE_CHECKING:
    from airproof.providers.protocol import Finding

add_arguments = add_environment


def run(options: argparse.Namespace) -> int:
    """Prints the findings; status 5 when something is missing."""
    from airproof.cli.provision import selected

    selection = selected(options)
    findings = selection.provider.check(selection.environment, selection.driver)
    print_findings(findings)
    missing = [finding.what for finding in findings if not finding.ok]
    if missing:
        print(f"environment {selection.environment.name} cannot come up here: {', '.join(missing)}")
        return ExitStatus.UNAVAILABLE
    print(f"environment {selection.environment.name} can come up here")
    return ExitStatus.OK


def print_findings(findings: Sequence[Finding]) -> None:
    """The findings as a table."""
    from airproof.cli.tables import bad, good, print_table

    rows = [(good("ok") if f.ok else bad("missing"), f.what, f.detail, f.remedy) for f in findings]
    print_table(("", "what", "found", "remedy"), rows)
