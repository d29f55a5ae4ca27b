"""What cells cost: a new one, a restarted service, the isolation of a test. Measured in one environment that is up."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg

from airproof.cells import Cell
from airproof.environment.loader import select
from airproof.environment.topology import CellDescription
from airproof.platform.driver import Driver
from airproof.providers.protocol import Provision
from airproof.providers.registry import load_provider
from airproof.reports.progress import TerminalProgress
from airproof.waiting import wait_until
from benchmarks.measure import Figure, Stopwatch, repeat

SERVICE = "user-service"


def cell_figures(times: int) -> Iterator[Figure]:
    """New cell, restart of a service, new tenant, barrier."""
    environment, driver = select("local", [])
    progress = TerminalProgress()
    with progress.show():
        provision = load_provider(environment.provider).open(environment, driver, progress=progress)
    try:
        first = provision.lease_cell()
        yield new_cell(provision, times)
        yield restart(provision, driver, first, times)
        with connected(provision, driver, first) as cell:
            yield new_tenant(cell, driver, times * 5)
            yield Figure("barrier on a quiet cell", repeat(lambda: cell.barrier(10.0), times * 5), 0.020)
    finally:
        provision.stop()


@contextmanager
def connected(provision: Provision, driver: Driver, description: CellDescription) -> Iterator[Cell]:
    """The cell with access to its platform, warmed up."""
    platform = driver.connect(description, seed=0)
    cell = Cell(description, provision.capabilities(description), platform)
    cell.barrier(10.0)
    try:
        yield cell
    finally:
        platform.close()


def new_cell(provision: Provision, times: int) -> Figure:
    """A new cell while the environment is up; it is removed outside of the measured time."""
    watch = Stopwatch()
    for _ in range(times):
        with watch:
            cell = provision.lease_cell()
        provision.return_cell(cell, reusable=False)
    return Figure("a new cell while the environment is up", tuple(watch.samples_s), 1.0)


def restart(provision: Provision, driver: Driver, cell: CellDescription, times: int) -> Figure:
    """From SIGKILL until healthy, forked from the zygote; beside it the same service as a new Python process."""
    processes = provision.capabilities(cell).processes
    if processes is None:
        raise RuntimeError("the provider cannot restart a service")
    address = f"http://{cell.node(SERVICE).endpoint}/health"
    forked, fresh = Stopwatch(), Stopwatch()
    for _ in range(times):
        processes.kill(SERVICE)
        with forked:
            processes.start(SERVICE)
    processes.kill(SERVICE)
    for _ in range(max(3, times // 2)):
        launch = driver.launch(SERVICE, cell)
        with fresh:
            command = [sys.executable, "-m", "pyairtable_reference", "serve"]
            process = subprocess.Popen(command, env=launch.environment, stdout=subprocess.DEVNULL)
            wait_until(lambda: answers(address), timeout_s=30.0, describe=address)
        process.send_signal(signal.SIGKILL)
        process.wait()
    processes.start(SERVICE)
    alternative = Figure("the same service as a new Python process", tuple(fresh.samples_s))
    return Figure("restart of one service until ready", tuple(forked.samples_s), 0.100, alternative)


def new_tenant(cell: Cell, driver: Driver, times: int) -> Figure:
    """The isolation a test pays for; beside it emptying all tables, which is what tests do without tenants."""
    numbers = count()
    tenants = repeat(lambda: cell.platform.new_tenant(f"bench-{next(numbers)}"), times)
    watch = Stopwatch()
    for _ in range(3):
        with watch:
            for database in driver.databases():
                truncate_all(cell.description.postgres_url(database))
    return Figure(
        "isolation of a test: a new tenant", tenants, 0.010, Figure("TRUNCATE of all tables", tuple(watch.samples_s))
    )


def truncate_all(url: str) -> None:
    """Empties every table of a database, except what refuses it by a trigger."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        connection.execute("TRUNCATE " + ", ".join(name for (name,) in tables) + " CASCADE")


def answers(address: str) -> bool:
    """Whether an HTTP address answers 200."""
    try:
        with urllib.request.urlopen(address, timeout=1.0) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
