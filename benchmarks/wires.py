"""What a wire costs: beside the direct connection and Toxiproxy, in turn within the same run, with real servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from airproof.supervision import Supervisor
from benchmarks.measure import MEGABYTES, Comparison, Figure
from benchmarks.wires_loads import Line, lines
from benchmarks.wires_upstreams import Upstreams, fill_postgres, free_endpoint, start_upstreams
from benchmarks.wires_ways import (
    AT_REST,
    DIRECT,
    SHARES,
    TOXIPROXY,
    WIRE,
    Way,
    find_toxiproxy,
    memory_mb,
    open_ways,
    start_wire,
    toxiproxy,
)

MEMORY_TARGET_MB = 60.0


def wire_figures(times: int) -> Iterator[Figure | Comparison]:
    """Every line of the table, each way once in each of so many rounds; then the memory of twenty links."""
    supervisor = Supervisor.start(label=f"bench-{uuid.uuid4().hex[:8]}")
    try:
        upstreams = start_upstreams(supervisor)
        pgbench = fill_postgres(upstreams["postgres"])
        ways = open_ways(supervisor, upstreams)
        for line in lines(pgbench, upstreams["kafka"]):
            yield from compare(line, ways, times)
        yield memory(supervisor, upstreams)
    finally:
        supervisor.stop()


def compare(line: Line, ways: list[Way], times: int) -> Iterator[Comparison]:
    """Runs a load over every way in turn, again and again; what came before the first round is not counted."""
    for way in ways:
        line.load(way.endpoints[line.protocol])
    rounds = [{way.name: line.load(way.endpoints[line.protocol]) for way in ways} for _ in range(times)]
    rival = TOXIPROXY if any(way.name == TOXIPROXY for way in ways) else None
    for number, name in enumerate(line.names):
        samples = {way.name: tuple(measured[way.name][number] for measured in rounds) for way in ways}
        shares = SHARES if line.unit.higher_is_better else {WIRE: 1.0}
        yield Comparison(name, line.unit, samples, DIRECT, rival, shares, line.target)


def memory(supervisor: Supervisor, upstreams: Upstreams) -> Figure:
    """The resident memory of a wire process with twenty links at rest; beside it Toxiproxy with twenty proxies."""
    links = [("service", protocol) for protocol, number in AT_REST.items() for _ in range(number)]
    start_wire(supervisor, "wire-at-rest", upstreams, links)
    alternative = None
    program = find_toxiproxy()
    if program:
        proxies = [(free_endpoint(supervisor), upstreams[protocol]) for _, protocol in links]
        toxiproxy(supervisor, "toxiproxy-at-rest", program, proxies)
        alternative = Figure(TOXIPROXY, (memory_mb(supervisor, "toxiproxy-at-rest"),), unit=MEGABYTES)
    measured = (memory_mb(supervisor, "wire-at-rest"),)
    return Figure("memory of a wire process with 20 links at rest", measured, MEMORY_TARGET_MB, alternative, MEGABYTES)
