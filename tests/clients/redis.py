"""Runs redis-py's own test suite directly and through a wire, and compares the results test by test.

    python -m tests.clients.redis --sources DIR [--python PYTHON] [--watched] [--protocol 2] [--protocol 3] [TEST ...]

DIR is the unpacked source distribution of redis-py, which stays outside this repository (`pip download --no-deps
--no-binary redis redis`). PYTHON is an interpreter with what the suite needs: pytest<9, pytest-asyncio, pytest-timeout,
coverage, cachetools, numpy, pybreaker, xxhash, opentelemetry-sdk, redis-entraid. TEST is a path in `tests`; without one
all are run that need one plain server at most.

The exit status is 1 when a test ends otherwise through the wire than without it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.clients.comparison import Results, compare, read, wire

from airproof.environment.model import RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.readiness import await_ready, redis_probe
from airproof.providers.native.redis import find_redis, redis_spec
from airproof.supervision import Supervisor

GROUP = "clients-redis"
READY_S = 60.0
SUITE_TIMEOUT_S = 1800
TEST_TIMEOUT_S = 30

MARKED = (
    "not onlycluster and not redismod and not ssl and not replica and not cp_integration and not multidb_integration"
)
"""Left out by mark: what needs a cluster, modules, certificates, a replica, or somebody's cloud."""

IGNORED = {
    "test_scenario": "needs a managed Redis Enterprise",
    "test_multidb": "needs several databases",
    "test_asyncio/test_multidb": "needs several databases",
    "test_asyncio/test_scenario": "needs a managed Redis Enterprise",
    "maint_notifications": "replaces the sockets by its own",
    "test_cluster.py": "needs a cluster",
    "test_cluster_transaction.py": "needs a cluster",
    "test_asyncio/test_cluster.py": "needs a cluster",
    "test_asyncio/test_cluster_transaction.py": "needs a cluster",
    "test_ssl.py": "needs certificates",
    "test_asyncio/test_ssl.py": "needs certificates",
}
DESELECTED: dict[str, str] = {}
"""Tests that cannot be compared, by pytest's `--deselect`, each with its reason."""


def main(arguments: Sequence[str]) -> int:
    """Runs the suite with each protocol that is named, or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--protocol", action="append", choices=["2", "3"])
    parser.add_argument("--watched", action="store_true", help="the wire reads and records everything")
    options = parser.parse_args(arguments)
    differing = 0
    for protocol in options.protocol or ["2", "3"]:
        direct = _run(protocol, options, through_wire=False)
        through = _run(protocol, options, through_wire=True)
        differing += compare(f"RESP{protocol}", direct, through)
    return 1 if differing else 0


def _run(protocol: str, options: argparse.Namespace, *, through_wire: bool) -> Results:
    with (
        _server() as server,
        wire("redis", server, record=options.watched) if through_wire else nullcontext(server.port) as port,
        tempfile.TemporaryDirectory() as directory,
    ):
        report = Path(directory) / "report.xml"
        command = [options.python, "-m", "pytest", *(f"tests/{name}" for name in options.tests or [""])]
        command += ["--redis-url", f"redis://127.0.0.1:{port}/0", "--protocol", protocol, "-m", MARKED]
        command += [f"--ignore=tests/{name}" for name in IGNORED]
        command += [f"--deselect=tests/{name}" for name in DESELECTED]
        command += [f"--junitxml={report}", "-q", "-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}"]
        subprocess.run(
            command,
            cwd=options.sources,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SUITE_TIMEOUT_S,
            check=False,
        )
        if not report.exists():
            raise SystemExit(f"the suite made no report; run it by hand in {options.sources}: {' '.join(command)}")
        return read(report)


@contextmanager
def _server() -> Iterator[Endpoint]:
    """An empty server."""
    with Supervisor.start(label=GROUP) as supervisor:
        endpoint = Endpoint("127.0.0.1", supervisor.take_ports(GROUP, 1)[0])
        directory = supervisor.make_directory(GROUP, "data")
        spec = redis_spec(find_redis(RedisSource.AUTO), GROUP, directory, endpoint)
        supervisor.spawn(spec)
        await_ready(supervisor, GROUP, {spec.name: redis_probe(endpoint)}, timeout_s=READY_S)
        yield endpoint


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
