"""Runs redis-py's own test suite directly and through a wire, and compares the results test by test.

    python tests/clients/redis.py --sources DIR [--python PYTHON] [--watched] [--protocol 2] [--protocol 3] [TEST ...]

DIR is the unpacked source distribution of redis-py, which stays outside this repository (`pip download --no-deps
--no-binary redis redis`). PYTHON is an interpreter with what the suite needs: pytest<9, pytest-asyncio, pytest-timeout,
cachetools, numpy, pybreaker, xxhash, opentelemetry-sdk, redis-entraid. TEST is a path in `tests`; without one all are
run that need one plain server at most.

The exit status is 1 when a test ends otherwise through the wire than without it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from xml.etree import ElementTree

from airproof.environment.model import RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.readiness import await_ready, redis_probe
from airproof.providers.native.redis import find_redis, redis_spec
from airproof.supervision import Supervisor

GROUP = "clients-redis"
READY_S = 60.0
SUITE_TIMEOUT_S = 1800
TEST_TIMEOUT_S = 30
FAILURES_SHOWN = 50

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

Results = dict[str, str]


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
        differing += _compare(f"RESP{protocol}", direct, through)
    return 1 if differing else 0


def _run(protocol: str, options: argparse.Namespace, *, through_wire: bool) -> Results:
    with (
        _server() as server,
        _wire(server, record=options.watched) if through_wire else nullcontext(server.port) as port,
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
        return _results(report)


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


@contextmanager
def _wire(server: Endpoint, *, record: bool) -> Iterator[int]:
    link = {"name": "suite", "source": "suite", "target": "redis", "protocol": "redis", "port": 0}
    link |= {"upstream_host": server.host, "upstream_port": server.port, "record": record}
    configuration = {"token": "suite", "state": None, "links": [link], "end_with_stdin": True}
    wire = subprocess.Popen(
        [sys.executable, "-m", "airproof.wire"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert wire.stdin, "it is a pipe"
    assert wire.stdout, "it is a pipe"
    try:
        wire.stdin.write(json.dumps(configuration) + "\n")
        wire.stdin.flush()
        yield int(json.loads(wire.stdout.readline())["links"]["suite"])
        if wire.poll() is not None:
            raise SystemExit(f"the wire ended with status {wire.returncode}")
    finally:
        wire.stdin.close()
        wire.wait(READY_S)


def _results(report: Path) -> Results:
    results: Results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        results[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return results


def _compare(name: str, direct: Results, through: Results) -> int:
    """Prints the counts and every test that ended otherwise; how many did."""
    for how, results in (("directly", direct), ("through the wire", through)):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(results.values()).items()))
        sys.stdout.write(f"{name} {how}: {counts}\n")
    differing = [test for test in sorted({*direct, *through}) if direct.get(test) != through.get(test)]
    for test in differing[:FAILURES_SHOWN]:
        sys.stdout.write(f"  {test}: {direct.get(test)} directly, {through.get(test)} through the wire\n")
    sys.stdout.flush()
    return len(differing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
