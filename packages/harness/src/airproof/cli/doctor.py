"""Shows what this machine has for an environment and where Airproof keeps things; `--extras` is for install scripts."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus

if TYPE_CHECKING:
    from airproof.providers.protocol import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environment and format."""
    add_environment(parser)
    extras = "print only the extras of the distribution `airproof` that would supply what is missing here"
    parser.add_argument("--extras", action="store_true", help=extras)


def run(options: argparse.Namespace) -> int:
    """Prints the machine's facts and the provider's findings, or the extras that are missing."""
    from airproof.cli.provision import selected
    from airproof.cli.validate import print_findings

    selection = selected(options)
    findings = selection.provider.check(selection.environment, selection.driver)
    if options.extras:
        print("\n".join(sorted({finding.extra for finding in findings if finding.extra and not finding.ok})))
        return ExitStatus.OK
    print_findings([*_machine(), *findings])
    return ExitStatus.OK if all(finding.ok for finding in findings) else ExitStatus.UNAVAILABLE


def _machine() -> list[Finding]:
    from airproof.providers.native.prepared import cache_root
    from airproof.providers.protocol import Finding
    from airproof.supervision.runs import runtime_directory

    cores, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    runtime = runtime_directory()
    free = shutil.disk_usage(runtime).free
    return [
        Finding("Python", ok=True, detail=f"{platform.python_version()} on {platform.platform()}"),
        Finding("machine", ok=True, detail=f"{cores} cores, {memory / 2**30:.1f} GB memory"),
        Finding("runs", ok=True, detail=f"{runtime}, {free / 2**30:.1f} GB free"),
        Finding("cache", ok=True, detail=str(cache_root())),
    ]
