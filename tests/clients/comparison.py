"""A wire before a server, and the results of one suite directly and through it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from airproof.environment.topology import Endpoint

ENDING_S = 60.0
FAILURES_SHOWN = 50

Results = dict[str, str]
"""Test to `passed`, `skipped`, `failure` or `error`."""


@contextmanager
def wire(protocol: str, server: Endpoint, *, record: bool) -> Iterator[int]:
    """The port of a wire that passes everything on to the server."""
    link = {"name": "suite", "source": "suite", "target": protocol, "protocol": protocol, "port": 0}
    link |= {"upstream_host": server.host, "upstream_port": server.port, "record": record}
    configuration = {"token": "suite", "state": None, "links": [link], "end_with_stdin": True}
    process = subprocess.Popen(
        [sys.executable, "-m", "airproof.wire"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin, "it is a pipe"
    assert process.stdout, "it is a pipe"
    try:
        process.stdin.write(json.dumps(configuration) + "\n")
        process.stdin.flush()
        yield int(json.loads(process.stdout.readline())["links"]["suite"])
        if process.poll() is not None:
            raise SystemExit(f"the wire ended with status {process.returncode}")
    finally:
        process.stdin.close()
        process.wait(ENDING_S)


def read(report: Path) -> Results:
    """The results in a JUnit report."""
    results: Results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        results[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return results


def compare(name: str, direct: Results, through: Results) -> int:
    """Prints the counts and every test that ended otherwise; how many did."""
    for how, results in (("directly", direct), ("through the wire", through)):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(results.values()).items()))
        sys.stdout.write(f"{name} {how}: {counts}\n")
    differing = [test for test in sorted({*direct, *through}) if direct.get(test) != through.get(test)]
    for test in differing[:FAILURES_SHOWN]:
        sys.stdout.write(f"  {test}: {direct.get(test)} directly, {through.get(test)} through the wire\n")
    sys.stdout.flush()
    return len(differing)
