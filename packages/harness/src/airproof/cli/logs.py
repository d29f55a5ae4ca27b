"""Prints what the nodes of an environment that is up have written, in the order they wrote it; secrets are masked."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import ExitStatus, NotReady, UsageError

if TYPE_CHECKING:
    from airproof.cells.logs import LogEntry, LogReader
    from airproof.environment.capabilities import LogAccess, LogLine
    from airproof.environment.topology import CellDescription
    from airproof.history.redaction import Redactor
    from airproof.providers.protocol import Provision

FOLLOW_S = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Environment, filters, follow."""
    add_environment(parser)
    parser.add_argument("-n", "--node", action="append", default=[], metavar="NAME", help="only this node; repeatable")
    parser.add_argument("-g", "--grep", default="", metavar="TEXT", help="only lines with this, as a correlation id")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument("--tail", type=int, default=0, metavar="N", help="only the last N lines of what is there")


def run(options: argparse.Namespace) -> int:
    """Prints the lines of all cells; with `--follow` until interrupted.

    Raises:
        NotReady: there is no cell.
    """
    from airproof.cells.logs import LogReader
    from airproof.cli.provision import attached
    from airproof.history.redaction import Redactor

    with attached(options) as (selection, provision):
        cells = provision.cells()
        if not cells:
            name = selection.environment.name
            raise NotReady(f"no cell of environment {name!r} is up; make some with: airproof up {name}")
        _check_nodes(options.node, cells)
        secrets = [secret for cell in cells for secret in cell.secrets.values()]
        printer = Printer(frozenset(options.node), options.grep, Redactor(secrets))
        readers = [LogReader(_access(provision, cell), whole=True) for cell in cells]
        printer.print(_written(readers), tail=options.tail)
        while options.follow:
            printer.print(_await_lines(readers))
    return ExitStatus.OK


@dataclass(frozen=True, slots=True)
class Printer:
    """Chooses lines and writes them for a person."""

    nodes: frozenset[str]
    text: str
    redactor: Redactor

    def print(self, lines: Iterable[LogLine], *, tail: int = 0) -> None:
        """Prints the chosen lines by time; with `tail` only the last ones."""
        from airproof.cells.logs import by_time, parse

        chosen = [line for line in lines if (not self.nodes or line.node in self.nodes) and self.text in line.text]
        for entry in by_time(parse(line) for line in chosen)[-tail:]:
            print(self.redactor.text(_line(entry)), flush=True)


def _line(entry: LogEntry) -> str:
    at = f"{datetime.fromtimestamp(entry.written_at, UTC):%H:%M:%S.%f}"[:-3] if entry.written_at else " " * 12
    return f"{at} {entry.node:<20} {entry.level:<7} {entry.message} {entry.details}".rstrip()


def _await_lines(readers: Sequence[LogReader]) -> list[LogLine]:
    from airproof.errors import WaitTimeout
    from airproof.waiting import wait_until

    try:
        read = partial(_written, readers)
        return wait_until(read, timeout_s=FOLLOW_S, describe="a log line", longest_interval_s=0.2)
    except WaitTimeout:
        return []


def _written(readers: Sequence[LogReader]) -> list[LogLine]:
    return [line for reader in readers for line in reader.read()]


def _access(provision: Provision, cell: CellDescription) -> LogAccess:
    access = provision.capabilities(cell).logs
    if access is None:
        raise UsageError(f"the provider of cell {cell.name!r} gives no access to logs")
    return access


def _check_nodes(wanted: Sequence[str], cells: Sequence[CellDescription]) -> None:
    from airproof.environment.files import nearest

    known = sorted({node.name for cell in cells for node in cell.nodes})
    for name in wanted:
        if name not in known:
            raise UsageError(f"no node {name!r}; there are: {', '.join(known)}{nearest(name, known)}")
