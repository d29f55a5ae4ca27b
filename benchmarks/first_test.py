"""A pytest plugin for the benchmark: notes on the machine's monotonic clock when the first test's own code begins."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

VARIABLE = "AIRPROOF_BENCH_FIRST_TEST"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Writes the time once, whichever worker comes first."""
    try:
        with Path(os.environ[VARIABLE]).open("x", encoding="utf-8") as file:
            file.write(repr(time.monotonic()))
    except FileExistsError:
        pass
    return (yield)
