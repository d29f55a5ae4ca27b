"""`nox -s bench`: prints what Airproof costs, beside targets and alternatives, and writes reports/bench.json."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cells import cell_figures
from benchmarks.commands import command_figures
from benchmarks.measure import Comparison, Figure
from benchmarks.tables import comparison_table, figure_table, in_short
from benchmarks.wires import wire_figures

GROUPS: dict[str, Callable[[int], Iterator[Figure | Comparison]]] = {
    "cells": cell_figures,
    "commands": command_figures,
    "wires": wire_figures,
}


def main() -> int:
    """Measures the chosen groups; the exit status is 0 whatever the figures are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="what to measure (default: everything)")
    parser.add_argument("--times", type=int, default=7, help="samples of each figure (default: %(default)s)")
    parser.add_argument("--report", type=Path, default=Path("reports/bench.json"))
    options = parser.parse_args()
    console = Console(stderr=True)
    measured: list[Figure | Comparison] = []
    for group in options.groups or GROUPS:
        console.print(f"measuring {group} …")
        for one in GROUPS[group](options.times):
            console.print(f"  {one.name}: {in_short(one)}", highlight=False)
            measured.append(one)
    show(measured)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "system": platform.platform()}
    report = {"machine": machine, "figures": [one.to_json() for one in measured]}
    options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def show(measured: Sequence[Figure | Comparison]) -> None:
    """Prints figures and comparisons, each in a table of its own."""
    figures = [one for one in measured if isinstance(one, Figure)]
    comparisons = [one for one in measured if isinstance(one, Comparison)]
    if figures:
        Console().print(figure_table(figures))
    if comparisons:
        Console().print(comparison_table(comparisons))


if __name__ == "__main__":
    sys.exit(main())
