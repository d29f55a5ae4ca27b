"""Judges histories again with the checkers of this version: files, or report directories with all they hold."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airproof.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from airproof.checkers.verdict import Validity, Verdict
    from airproof.history import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the histories."""
    parser.add_argument(
        "histories", nargs="+", type=Path, metavar="HISTORY", help="a history file, or a directory with some below it"
    )


def run(options: argparse.Namespace) -> int:
    """Prints a verdict for each; status 1 unless all are valid."""
    from airproof.checkers.readouts import judge_again, verdict_then
    from airproof.history import read_history

    counts: Counter[str] = Counter()
    for path in _files(options.histories):
        recording = read_history(path)
        verdict = judge_again(recording)
        counts[verdict.validity.value] += 1
        print(_told(path, recording, verdict, verdict_then(recording)))
    summary = ", ".join(f"{number} {validity}" for validity, number in counts.most_common())
    print(f"{counts.total()} {'history' if counts.total() == 1 else 'histories'}: {summary}")
    return ExitStatus.OK if set(counts) == {"valid"} else ExitStatus.FAILED


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        histories = [one for one in found if one.name != "durations.jsonl"]
        if not histories or not histories[0].is_file():
            raise UsageError(f"no history at {str(path)!r}; runs leave them in reports/<run>/histories/")
        yield from histories


def _told(path: Path, recording: Recording, verdict: Verdict, then: Validity | None) -> str:
    name = str(recording.header.get("test", path)).rpartition("/")[2]
    changed = f" (was {then.value})" if then not in {None, verdict.validity} and then else ""
    heading = f"{verdict.validity.value:<8}{name}{changed}"
    return heading if verdict else "\n".join([heading, *(f"  {line}" for line in str(verdict).splitlines())])
