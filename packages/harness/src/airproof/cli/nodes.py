"""Nodes of an environment that is up: what their processes do, and what they answer in their own protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airproof.environment.topology import CellDescription, Node
from airproof.platform.manifest import Manifest
from airproof.providers.native.description import probe
from airproof.providers.protocol import Provision


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
        problems = list(pool.map(lambda pair: probe(pair[0], pair[1], manifest)(), asked))
    processes = {cell.name: _processes(provision, cell) for cell in provision.cells()}
    return [
        Answer(cell.name, node, processes.get(cell.name, {}).get(node.name, ""), problem)
        for (cell, node), problem in zip(asked, problems, strict=True)
    ]


def _processes(provision: Provision, cell: CellDescription) -> dict[str, str]:
    control = provision.capabilities(cell).processes
    if control is None:
        return {}
    states = [control.state(node.name) for node in cell.nodes]
    return {
        state.node: state.status.value if state.incarnation == 1 else f"{state.status.value}, start {state.incarnation}"
        for state in states
    }
