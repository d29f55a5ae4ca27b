"""The ways to a server that are compared: direct, through Toxiproxy, through a wire, through a wire with rules."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from airproof.environment.topology import Endpoint
from airproof.providers.native.commands import PLAIN_ENVIRONMENT
from airproof.providers.native.readiness import Probe, await_ready
from airproof.supervision import ProcessSpec, Supervisor
from airproof.wire import Rule, Wire, WireGone, matching, on
from benchmarks.wires_upstreams import GROUP, READY_S, Upstreams, free_endpoint

DIRECT = "direct"
TOXIPROXY = "Toxiproxy"
WIRE = "wire"
RULED = "wire, 20 rules, recorded"
SHARES = {WIRE: 1.0, RULED: 0.5}
"""What is asked of the wires, as shares of Toxiproxy's throughput."""

TOXIPROXY_MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@latest"
TOKEN = "token-of-the-benchmark"
RULES = 20
FIELDS = {"postgres": "table", "redis": "key", "kafka": "topic", "http": "path"}
"""A field of each protocol that tests match by."""

AT_REST = {"http": 8, "postgres": 6, "redis": 3, "kafka": 3}
"""Twenty links of a cell."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to every server."""

    name: str
    endpoints: Upstreams


def open_ways(supervisor: Supervisor, upstreams: Upstreams) -> list[Way]:
    """All ways there are on this machine; Toxiproxy only where it is installed or can be built."""
    ways = [Way(DIRECT, upstreams)]
    program = find_toxiproxy()
    if program:
        ports = {protocol: free_endpoint(supervisor) for protocol in upstreams}
        toxiproxy(supervisor, "toxiproxy", program, [(ports[name], upstreams[name]) for name in upstreams])
        ways.append(Way(TOXIPROXY, ports))
    links = [(source, name) for source in ("plain", "ruled") for name in upstreams]
    wire, ports_of = start_wire(supervisor, "wire", upstreams, links)
    for rule in never_matching(upstreams):
        wire.apply(rule)
    for number, way in enumerate((WIRE, RULED)):
        count = len(upstreams)
        ways.append(Way(way, dict(zip(upstreams, ports_of[number * count : (number + 1) * count], strict=True))))
    wire.record("ruled-*")
    return ways


def never_matching(protocols: Iterable[str]) -> list[Rule]:
    """Twenty rules for the ruled link of each protocol, by content or field, before and after; none ever matches."""
    rules = []
    for protocol in protocols:
        for number in range(RULES):
            value = f"5f0c7a1e-never-{number:02d}"
            sought = {FIELDS[protocol]: value} if number % 2 else {"containing": value}
            selected = on("ruled", protocol).when(matching(protocol, **sought))
            selected = selected.after() if number % 4 > 1 else selected.before()
            rules.append(selected.delay(1.0))
    return rules


def start_wire(
    supervisor: Supervisor, name: str, upstreams: Upstreams, links: list[tuple[str, str]]
) -> tuple[Wire, list[Endpoint]]:
    """A wire process with links, given by source and protocol; its control, and where the links listen."""
    control = free_endpoint(supervisor)
    ports = [free_endpoint(supervisor) for _ in links]
    configuration = {
        "token": TOKEN,
        "control": {"host": control.host, "port": control.port},
        "links": [
            {
                "name": f"{source}-{protocol}-{at.port}",
                "source": source,
                "target": protocol,
                "protocol": protocol,
                "port": at.port,
                "upstream_host": upstreams[protocol].host,
                "upstream_port": upstreams[protocol].port,
            }
            for (source, protocol), at in zip(links, ports, strict=True)
        ],
    }
    file = supervisor.make_directory(GROUP, name) / "configuration.json"
    file.write_text(json.dumps(configuration))
    argv = (sys.executable, "-m", "airproof.wire", str(file))
    wire = Wire(control.host, control.port, TOKEN)
    _start(supervisor, name, argv, lambda: _asked(wire, len(links)))
    return wire, ports


def toxiproxy(supervisor: Supervisor, name: str, program: str, proxies: list[tuple[Endpoint, Endpoint]]) -> None:
    """A Toxiproxy with proxies, each from where it listens to its upstream."""
    control = free_endpoint(supervisor)
    file = supervisor.make_directory(GROUP, name) / "proxies.json"
    described = [
        {"name": str(listens), "listen": str(listens), "upstream": str(upstream), "enabled": True}
        for listens, upstream in proxies
    ]
    file.write_text(json.dumps(described))
    argv = (program, "-host", control.host, "-port", str(control.port), "-config", str(file))
    _start(supervisor, name, argv, lambda: _listening(proxies[-1][0]))


def find_toxiproxy() -> str:
    """The program: named by TOXIPROXY, installed, or built by Go into the user's cache; empty if there is none."""
    built = Path(platformdirs.user_cache_dir("airproof")) / "toxiproxy"
    found = os.environ.get("TOXIPROXY") or shutil.which("toxiproxy-server") or shutil.which(str(built / "server"))
    go = shutil.which("go")
    if found or not go:
        return found or ""
    environment = {**os.environ, "GOBIN": str(built)}
    made = subprocess.run([go, "install", TOXIPROXY_MODULE], env=environment, check=False, capture_output=True)
    return "" if made.returncode else str(built / "server")


def memory_mb(supervisor: Supervisor, name: str) -> float:
    """The resident memory of a process, in megabytes of a million bytes."""
    rollup = Path(f"/proc/{supervisor.pid(f'{GROUP}/{name}')}/smaps_rollup").read_text()
    sizes = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    return int(sizes["Rss"].split()[0]) * 1024 / 1e6


def _start(supervisor: Supervisor, name: str, argv: tuple[str, ...], probe: Probe) -> None:
    spec = ProcessSpec(f"{GROUP}/{name}", GROUP, argv, dict(PLAIN_ENVIRONMENT))
    supervisor.spawn(spec)
    await_ready(supervisor, GROUP, {spec.name: probe}, timeout_s=READY_S)


def _asked(wire: Wire, count: int) -> str:
    try:
        listening = sum(bool(link["listening"]) for link in wire.links())
    except WireGone as error:
        return str(error)
    return "" if listening == count else f"{listening} of {count} links listen"


def _listening(endpoint: Endpoint) -> str:
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=1.0).close()
    except OSError as error:
        return str(error)
    return ""
