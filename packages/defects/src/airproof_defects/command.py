"""`airproof prove`: the matrix of defects against scenarios, on the terminal and as proof.json."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airproof.cli.parsing import Parser
from airproof.errors import ExitStatus
from airproof_defects.catalogue import choose, failure_modes
from airproof_defects.defect import Defect
from airproof_defects.overlay import apply_patch
from airproof_defects.prove import Outcome, Row, Run, Subject, write_proof

_COLOURS = {Outcome.CAUGHT: "green", Outcome.GREEN: "green"}


def main(arguments: Sequence[str]) -> int:
    """Runs the proof and returns the exit status: 0 when every defect is caught and the healthy platform is green.

    Raises:
        AirproofError: an option, a patch or the name of a defect is wrong.
    """
    rows = _prove(_parser().parse_args(arguments), Console(stderr=True))
    Console().print(_matrix(rows))
    return ExitStatus.OK if all(row.good for row in rows) else ExitStatus.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = Parser("airproof prove", __doc__)
    parser.add_argument(
        "defects", nargs="*", metavar="ID", help="defects to try, such as SG01; all of them if none is named"
    )
    parser.add_argument(
        "--patch",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="try a unified diff of the reference platform instead; may be repeated",
    )
    parser.add_argument("--environment", default="local", metavar="NAME", help="where to run (default: %(default)s)")
    parser.add_argument(
        "--healthy",
        type=int,
        default=1,
        metavar="N",
        help="how often the healthy platform must be green first (default: %(default)s)",
    )
    parser.add_argument(
        "--stop-after",
        type=int,
        default=1,
        metavar="N",
        help="red scenarios after which a defect counts as caught; 0 runs all (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="pytest-xdist processes (default: %(default)s)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("reports/proof"),
        metavar="DIR",
        help="logs, JUnit files and proof.json (default: %(default)s)",
    )
    return parser


def _prove(options: argparse.Namespace, console: Console) -> list[Row]:
    run = Run(options.environment, options.workers, options.stop_after, options.report)
    subjects = [*_healthy(options.healthy), *_changed(options.defects, options.patch)]
    rows: list[Row] = []
    for number, subject in enumerate(subjects, 1):
        with console.status(f"{number}/{len(subjects)} {subject.name}: {subject.what}"):
            row = run.prove(subject)
        rows.append(row)
        write_proof(rows, options.report / "proof.json")
        outcome = f"[{_COLOURS.get(row.outcome, 'red')}]{row.outcome}[/]"
        console.print(f"{number}/{len(subjects)} {row.subject}: {outcome} in {row.seconds:.1f} s", highlight=False)
    return rows


def _healthy(times: int) -> Iterable[Subject]:
    for number in range(1, times + 1):
        name = "healthy" if times == 1 else f"healthy-{number}"
        yield Subject(name, "the reference platform as it is", "", None)


def _changed(ids: Sequence[str], patches: Sequence[Path]) -> Iterable[Subject]:
    for patch in patches:
        yield Subject(patch.stem, f"patch {patch.name}", "", partial(_patch, patch))
    if ids or not patches:
        yield from (_subject(defect) for defect in choose(ids))


def _patch(patch: Path, package: Path) -> None:
    apply_patch(patch, package.parent)


def _subject(defect: Defect) -> Subject:
    mode = failure_modes()[defect.id]
    return Subject(defect.id, mode.failure_mode, defect.category, defect.apply, mode.seen_by)


def _matrix(rows: Sequence[Row]) -> Table:
    table = Table(title="Proof: defects against scenarios", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("subject", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("blamed")
    table.add_column("what is wrong, the first scenario that saw it, its first message", overflow="fold", ratio=1)
    table.add_column("s", justify="right", no_wrap=True)
    for row in rows:
        outcome = Text(row.outcome, _COLOURS.get(row.outcome, "bold red"))
        story = Text("\n").join(Text(line, style) for line, style in _story(row) if line)
        another = (
            [Text(f"not {row.category}", "yellow")] if row.blamed and row.category not in {"", *row.blamed} else []
        )
        blamed = Text("\n").join([*map(Text, row.blamed), *another])
        table.add_row(row.subject, outcome, blamed, story, f"{row.seconds:.1f}")
    return table


def _story(row: Row) -> Iterable[tuple[str, str]]:
    yield row.what, "bold"
    yield (row.scenarios[0] if row.scenarios else ""), "dim"
    yield row.message, ""
