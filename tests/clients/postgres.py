"""Runs the test suites of PostgreSQL's clients directly and through a wire, and compares the results test by test.

    python -m tests.clients.postgres --sources DIR [--python PYTHON] [--watched] [SUITE ...]

DIR holds the sources of the suites, which stay outside this repository: `psycopg/` (a checkout of
github.com/psycopg/psycopg) and `sqlalchemy/` (its source distribution:
`pip download --no-deps --no-binary sqlalchemy sqlalchemy`, unpacked). PYTHON is an interpreter with what the suites
need: psycopg[binary,pool], sqlalchemy[asyncio], asyncpg, pg8000, psycopg2-binary, pytest, pytest-timeout, anyio,
pproxy, dnspython.

The exit status is 1 when a test ends otherwise through the wire than without it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.comparison import Results, compare, read, wire

from airproof.environment.model import PostgresSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.postgres import SETTINGS, connect, find_postgres, primary_probe, server_spec
from airproof.providers.native.postgres_cluster import INITDB
from airproof.providers.native.readiness import await_ready
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.supervision import ProcessSpec, Supervisor

GROUP = "clients-postgres"
READY_S = 60.0
SUITE_TIMEOUT_S = 1800
TEST_TIMEOUT_S = 60


@dataclass(frozen=True)
class Suite:
    """A test suite.

    Attributes:
        folder: of its sources, where it is run.
        arguments: of pytest; `{port}` and `{database}` stand for the server's.
        deselected: test ids, or how they begin, that are left out, each with its reason.
    """

    folder: str
    arguments: tuple[str, ...]
    deselected: tuple[tuple[str, str], ...] = ()


PSYCOPG_DSN = "host=127.0.0.1 port={port} user=postgres dbname={database}"
SQLALCHEMY = ("test/dialect/postgresql", "test/dialect/test_suite.py", "--maxfail=10000", "-o", "addopts=")
SUITES = {
    "psycopg": Suite(
        "psycopg",
        ("tests", "--test-dsn", PSYCOPG_DSN, "-m", "not slow and not dns and not mypy"),
        (
            (
                "tests/test_waiting.py::test_wait_remote_closed",
                "a race of the test's own: it fails, directly too, when the server answers before its proxy is stopped",
            ),
            (
                "tests/test_pipeline_async.py::test_errors_raised_on_commit",
                "a race of the test's own: through a proxy of bytes (Toxiproxy) it fails one time in ten, too",
            ),
        ),
    ),
    **{
        f"sqlalchemy-{driver}": Suite(
            "sqlalchemy", (*SQLALCHEMY, "--dburi", f"postgresql+{driver}://postgres@127.0.0.1:{{port}}/{{database}}")
        )
        for driver in ("psycopg", "psycopg_async", "asyncpg", "psycopg2", "pg8000")
    },
}

PREPARED = (
    "CREATE SCHEMA test_schema",
    "CREATE SCHEMA test_schema_2",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION citext",
)
"""What SQLAlchemy's README.unittests.rst asks of a database."""


def main(arguments: Sequence[str]) -> int:
    """Runs the suites that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--watched", action="store_true", help="the wire reads and records everything")
    options = parser.parse_args(arguments)
    differing = 0
    with _server() as server, wire("postgres", server, record=options.watched) as port:
        for name in options.suites or SUITES:
            direct = _run(name, server, server.port, options)
            through = _run(name, server, port, options)
            differing += compare(name, direct, through)
    return 1 if differing else 0


@contextmanager
def _server() -> Iterator[Endpoint]:
    found = find_postgres(PostgresSource.AUTO)
    with Supervisor.start(label=GROUP) as supervisor:
        data = supervisor.make_directory(GROUP, "data")
        argv = (found.program("initdb"), *INITDB, "-D", str(data))
        initdb = ProcessSpec(f"{GROUP}/initdb", GROUP, argv, dict(PLAIN_ENVIRONMENT), str(data), unprivileged=True)
        run_to_end(supervisor, initdb, timeout_s=READY_S)
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
        endpoint = Endpoint("127.0.0.1", supervisor.take_ports(GROUP, 1)[0])
        spec = server_spec(found, GROUP, "server", data, endpoint)
        forget_with(supervisor, GROUP)
        supervisor.spawn(spec)
        await_ready(supervisor, GROUP, {spec.name: primary_probe(endpoint)}, timeout_s=READY_S)
        note_segments(supervisor, GROUP, spec.name)
        yield endpoint


def _run(name: str, server: Endpoint, port: int, options: argparse.Namespace) -> Results:
    suite = SUITES[name]
    database = f"{name.replace('-', '_')}_{'direct' if port == server.port else 'through'}"
    with connect(server) as connection:
        connection.execute(f'CREATE DATABASE "{database}"'.encode())
    with connect(server, database) as connection:
        for statement in PREPARED:
            connection.execute(statement.encode())
    arguments = [one.format(port=port, database=database) for one in suite.arguments]
    for pattern, _ in suite.deselected:
        arguments += ["--deselect", pattern]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [options.python, "-m", "pytest", *arguments, f"--junitxml={report}", "-q"]
        command += ["-p", "no:randomly", "-o", f"cache_dir={directory}", f"--timeout={TEST_TIMEOUT_S}"]
        ran = subprocess.run(
            command,
            cwd=options.sources / suite.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SUITE_TIMEOUT_S,
            check=False,
        )
        if not report.exists():
            raise SystemExit(f"{name} made no report: {' '.join(command)}\n{ran.stdout[-2000:]}")
        return read(report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
