"""Nodes of an environment that is up: what their processes do, and what they answer in their own protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airproof.environment.topology import CellDescription, Node, Role
from airproof.platform.manifest import Manifest
from airproof.providers.native.postgres import primary_probe, replica_probe
from airproof.providers.native.readiness import Probe, http_probe, kafka_probe, redis_probe, smtp_probe
from airproof.providers.protocol import Provision

BACKING = {
    Role.POSTGRES_PRIMARY: primary_probe,
    Role.POSTGRES_REPLICA: replica_probe,
    Role.REDIS: redis_probe,
    Role.KAFKA: kafka_probe,
    Role.SMTP: smtp_probe,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How a node is.

    Attributes:
        process: what its process does; empty where the provider cannot tell.
        problem: what was answered instead; empty when it is healthy.
    """

    cell: str
    node: Node
    process: str
    problem: str

    @property
    def healthy(self) -> bool:
        """Whether it answers as it should."""
        return not self.problem


def ask_all(provision: Provision, manifest: Manifest) -> list[Answer]:
    """Asks every node of every cell, all at the same time; a node that several cells share is asked for each."""
    asked = [(cell, node) for cell in provision.cells() for node in cell.nodes]
    if not asked:
        return []
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        problems = list(pool.map(lambda pair: _probe(pair[1], manifest)(), asked))
    processes = {cell.name: _processes(provision, cell) for cell in provision.cells()}
    return [
        Answer(cell.name, node, processes.get(cell.name, {}).get(node.name, ""), problem)
        for (cell, node), problem in zip(asked, problems, strict=True)
    ]


def _probe(node: Node, manifest: Manifest) -> Probe:
    if node.role is Role.SERVICE:
        service = next((s for s in manifest.services if s.name == node.name), None)
        return http_probe(node.endpoint, service.ready_path if service else "/ready")
    return BACKING[node.role](node.endpoint)


def _processes(provision: Provision, cell: CellDescription) -> dict[str, str]:
    control = provision.capabilities(cell).processes
    if control is None:
        return {}
    states = [control.state(node.name) for node in cell.nodes]
    return {
        state.node: state.status.value if state.incarnation == 1 else f"{state.status.value}, start {state.incarnation}"
        for state in states
    }
