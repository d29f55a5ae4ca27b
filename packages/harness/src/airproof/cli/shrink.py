"""Finds the fewest faults of a schedule with which a test still fails in k of n runs (delta debugging)."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from airproof.cli.parsing import add_environment
from airproof.errors import AirproofError, ExitStatus, UsageError

if TYPE_CHECKING:
    from airproof.cli.trials import Trials
    from airproof.faults.nemesis import Disturbance, Schedule
    from airproof.faults.nemesis.shrinking import Tally


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which test, which schedule, how often."""
    parser.add_argument("test", metavar="TEST", help="the test's id, as pytest takes it")
    add_environment(parser)
    parser.add_argument("--schedule", type=Path, metavar="FILE", help="left beside the history of the failed test")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the run's seed; without --schedule it makes the schedule"
    )
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs of each candidate (default: %(default)s)"
    )
    parser.add_argument("--failing", type=int, metavar="K", help="so many must fail (default: more than half)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the result")
    parser.add_argument(
        "--pytest", action="append", default=[], metavar="OPTION", help="passed on, as in --pytest=-p --pytest=airproof"
    )


def run(options: argparse.Namespace) -> int:
    """Prints every candidate as it is tried, then the result and the command that runs it again."""
    from airproof.cli.trials import Trials
    from airproof.faults.nemesis import Schedule

    runs, failing = options.runs, options.failing or options.runs // 2 + 1
    if not 1 <= failing <= runs:
        raise UsageError(f"shrink: {failing} of {runs} runs cannot fail; --failing goes from 1 to --runs")
    if options.schedule is None and options.seed is None:
        raise UsageError("shrink: name the --schedule that was left beside the history, or the run's --seed")
    if options.schedule is not None:
        Schedule.read(options.schedule)
    pytest_options = [*_selection(options), *options.pytest]
    with TemporaryDirectory(prefix="airproof-shrink-") as directory:
        trials = Trials(options.test, pytest_options, Path(directory))
        whole = _whole(options, trials)
        left, seen = _Search(trials, whole, failing, runs).result()
    return _conclude(options, whole, left, seen, pytest_options)


def _selection(options: argparse.Namespace) -> list[str]:
    seed = options.seed
    if seed is None:
        seed = json.loads(options.schedule.read_text(encoding="utf-8")).get("run_seed")
    selection = [f"--airproof-env={options.environment}", *(f"--airproof-set={one}" for one in options.settings)]
    return selection if seed is None else [*selection, f"--airproof-seed={seed}"]


def _whole(options: argparse.Namespace, trials: Trials) -> Schedule:
    from airproof.faults.nemesis import Schedule

    if options.schedule is not None:
        return Schedule.read(options.schedule)
    print(f"running the test once with seed {options.seed}, for its schedule")
    trials.run(None)
    return Schedule.read(trials.own_schedule())


class _Search:
    """The search for the smallest schedule, told on the terminal as it goes on."""

    def __init__(self, trials: Trials, whole: Schedule, failing: int, runs: int) -> None:
        self._trials = trials
        self._whole = whole
        self._failing = failing
        self._runs = runs
        self._failures: set[str] = set()
        self._others: set[str] = set()

    def result(self) -> tuple[Schedule, Tally]:
        """What is left, and how often it failed in all n runs.

        Raises:
            AirproofError: the whole does not fail often enough.
        """
        from airproof.faults.nemesis import Schedule
        from airproof.faults.nemesis.shrinking import minimise

        wanted = f"{self._failing} of {self._runs}"
        print(f"{len(self._whole)} faults; a candidate fails when {wanted} runs do")
        seen = self._try("all", self._whole, learn=True)
        self._trials.own_schedule()
        if not seen.fails:
            raise AirproofError(
                f"with the whole schedule the test {seen} runs, not {wanted}; raise --runs, or lower --failing"
            )

        def fails(faults: tuple[Disturbance, ...]) -> bool:
            return self._try(_name(self._whole, faults), Schedule(faults, self._whole.seed)).fails

        left = Schedule(minimise(self._whole.disturbances, fails), self._whole.seed)
        return left, self._try("result", left, to_the_end=True)

    def _try(self, name: str, schedule: Schedule, *, learn: bool = False, to_the_end: bool = False) -> Tally:
        from airproof.faults.nemesis.shrinking import tally

        def failed() -> bool:
            trial = self._trials.run(schedule)
            if learn and trial.failed:
                self._failures.add(trial.failure)
            if trial.failed and trial.failure not in self._failures:
                self._others.add(trial.failure)
            return trial.failed and trial.failure in self._failures

        self._others.clear()
        seen = tally(failed, needed=self._failing, planned=self._runs, to_the_end=to_the_end)
        aside = f"; otherwise: {', '.join(sorted(self._others))}" if self._others else ""
        print(f"  {name}: {seen}{aside}", flush=True)
        return seen


def _name(whole: Schedule, faults: tuple[Disturbance, ...]) -> str:
    places = [str(at) for at, one in enumerate(whole.disturbances, 1) if any(one is other for other in faults)]
    return f"faults {' '.join(places)}" if places else "no fault"


def _conclude(
    options: argparse.Namespace, whole: Schedule, left: Schedule, seen: Tally, pytest_options: list[str]
) -> int:
    if not left.disturbances:
        print(f"no fault is needed: without any the test {seen} runs")
        return ExitStatus.OK
    out = options.out or _beside(options.schedule)
    left.write(out, test=options.test, environment=options.environment, failed=seen.failed, runs=seen.runs)
    print(f"{len(left)} of {len(whole)} faults are enough; with them the test {seen} runs:")
    for one in left.disturbances:
        print(f"  {one}")
    print(f"written to {out}")
    command = ["pytest", options.test, *pytest_options, f"--airproof-schedule={os.path.relpath(out)}"]
    print(f"again: {shlex.join(command)}")
    return ExitStatus.OK


def _beside(schedule: Path | None) -> Path:
    """Where the next run will not remove it."""
    name = schedule.name.removesuffix(".json").removesuffix(".schedule") if schedule else "shrunk"
    return Path("reports") / "shrunk" / f"{name}.schedule.json"
