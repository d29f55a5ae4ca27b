"""`nox -s bench`: prints what Airproof costs, beside targets and alternatives, and writes reports/bench.json."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cells import cell_figures
from benchmarks.commands import command_figures
from benchmarks.measure import Figure

GROUPS: dict[str, Callable[[int], Iterator[Figure]]] = {"cells": cell_figures, "commands": command_figures}


def main() -> int:
    """Measures the chosen groups; the exit status is 0 whatever the figures are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="what to measure (default: everything)")
    parser.add_argument("--times", type=int, default=7, help="samples of each figure (default: %(default)s)")
    parser.add_argument("--report", type=Path, default=Path("reports/bench.json"))
    options = parser.parse_args()
    console = Console(stderr=True)
    figures: list[Figure] = []
    for group in options.groups or GROUPS:
        console.print(f"measuring {group} …")
        for figure in GROUPS[group](options.times):
            console.print(f"  {figure.name}: {figure.median_s * 1000:.1f} ms", highlight=False)
            figures.append(figure)
    Console().print(table(figures))
    options.report.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "system": platform.platform()}
    report = {"machine": machine, "figures": [figure.to_json() for figure in figures]}
    options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def table(figures: list[Figure]) -> Table:
    """The figures as a table: median, spread, target, and how many times slower the alternative is."""
    result = Table(title="Medians", title_justify="left")
    for heading in ("figure", "median", "min to max", "target", "alternative in the same run"):
        result.add_column(heading, justify="left" if heading in {"figure", "alternative in the same run"} else "right")
    for figure in figures:
        colour = {True: "green", False: "red", None: "default"}[figure.reached]
        spread = f"{seconds(min(figure.samples_s))} to {seconds(max(figure.samples_s))}"
        target = "" if figure.target_s is None else seconds(figure.target_s)
        other = figure.alternative
        beside = f"{other.name}: {seconds(other.median_s)}, {figure.ratio:.1f} times" if other else ""
        result.add_row(figure.name, f"[{colour}]{seconds(figure.median_s)}[/]", spread, target, beside)
    return result


def seconds(value_s: float) -> str:
    """A duration as the reader wants it."""
    return f"{value_s * 1000:.1f} ms" if value_s < 1 else f"{value_s:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
