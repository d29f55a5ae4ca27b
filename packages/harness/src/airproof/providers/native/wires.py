"""The wire of a cell: one process, forked like the services, that stands on all of the cell's links."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airproof.environment.topology import CLIENT, CellDescription, Role
from airproof.platform.manifest import Manifest
from airproof.providers.native.readiness import Probe

WIRE_ENTRY = f"{__name__}:main"
CONFIGURATION = "WIRE_CONFIGURATION"


def connections(manifest: Manifest) -> list[tuple[str, str, str]]:
    """Source, target and protocol of every link, by what the services declare."""
    found = []
    for service in manifest.services:
        backing = [(Role.KAFKA.value, "kafka"), (Role.REDIS.value, "redis")]
        if service.database:
            backing += [(role.value, "postgres") for role in (Role.POSTGRES_PRIMARY, Role.POSTGRES_REPLICA)]
        called = [(name, "smtp" if name == Role.SMTP.value else "http") for name in service.calls]
        found += [(service.name, target, protocol) for target, protocol in (*backing, *called)]
    return found + [(CLIENT, service.name, "http") for service in manifest.services]


def listening_probe(cell: CellDescription, node: str) -> Probe:
    """Every link to the node listens. A wire looks for a node that was not there only every so often.

    A wire that does not run is no reason to wait: it looks for all of its nodes before it says that it is ready.
    """

    def ask() -> str:
        from airproof.wire.control import Wire, WireGone

        endpoint = cell.node(Role.WIRE.value).endpoint
        try:
            links = Wire(endpoint.host, endpoint.port, cell.secrets["wire_token"]).links()
        except WireGone:
            return ""
        silent = [link["name"] for link in links if link["target"] == node and not link["listening"]]
        return f"no wire listens yet on {', '.join(silent)}" if silent else ""

    return ask


def write_configuration(cell: CellDescription, directory: Path) -> dict[str, str]:
    """Writes what the wire process reads, and returns the environment that tells it where."""
    file = directory / "configuration.json"
    configuration = {
        "token": cell.secrets["wire_token"],
        "control": asdict(cell.node(Role.WIRE.value).endpoint),
        "state": str(directory / "state.json"),
        "links": [_link(cell, number) for number in range(len(cell.links))],
        "secrets": list(cell.secrets.values()),
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return {CONFIGURATION: str(file)}


def _link(cell: CellDescription, number: int) -> dict[str, Any]:
    link = cell.links[number]
    upstream = cell.node(link.target).endpoint
    return {
        "name": link.name,
        "source": link.source,
        "target": link.target,
        "protocol": link.protocol,
        **asdict(link.endpoint),
        "upstream_host": upstream.host,
        "upstream_port": upstream.port,
    }


def main() -> int:
    """Runs the wire; it is imported in the forked process only, for most cells have none."""
    from airproof.wire.process import main as run

    return run([os.environ[CONFIGURATION]])
