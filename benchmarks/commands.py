"""What whole commands cost, from the moment they are typed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.first_test import VARIABLE
from benchmarks.measure import Figure, repeat

ROOT = Path(__file__).parents[1]


def nox(*arguments: str, environment: dict[str, str] | None = None) -> None:
    """Runs nox in this checkout, as the reader would.

    Raises:
        subprocess.CalledProcessError: it failed; its output is in the error.
    """
    command = [os.environ.get("NOX_PYTHON", sys.executable), "-m", "nox", *arguments]
    given = {**os.environ, **(environment or {})}
    given.pop("VIRTUAL_ENV", None)
    subprocess.run(
        command, cwd=ROOT, env=given, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def command_figures(times: int) -> Iterator[Figure]:
    """Command to first test, and the whole job again with the environment left up."""
    yield first_test(times)
    nox("-s", "up", "--", "local")
    try:
        nox("-s", "e2e-local")
        jobs = repeat(lambda: nox("-s", "e2e-local"), max(2, times // 2))
        yield Figure("nox -s e2e-local again, environment left up", jobs, 30.0)
    finally:
        nox("-s", "down", "--", "local")


def first_test(times: int) -> Figure:
    """From `nox -s e2e-local` typed until the first test runs, with nothing up before."""
    samples = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "first"
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            began = time.monotonic()
            nox(
                *("-s", "e2e-local", "--", "-p", "benchmarks.first_test", "-k", "happy"),
                environment={VARIABLE: str(file), "PYTHONPATH": path},
            )
            samples.append(float(file.read_text(encoding="utf-8")) - began)
    return Figure("environment up, from the command typed to the first test", tuple(samples), 3.0)
