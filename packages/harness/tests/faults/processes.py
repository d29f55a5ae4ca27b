"""Nodes in memory that do what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field

from airproof.environment.capabilities import Lack, ProcessState, ProcessStatus
from airproof.errors import NotReady


@dataclass
class Nodes:
    """The processes of several nodes, and what was done to them, in order."""

    done: list[str] = field(default_factory=list)
    states: dict[str, ProcessState] = field(default_factory=dict)
    broken: bool = False

    def state(self, node: str) -> ProcessState:
        return self.states.setdefault(node, ProcessState(node, ProcessStatus.RUNNING, 1))

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        return self._become("terminate", node, ProcessStatus.EXITED, 0)

    def kill(self, node: str) -> ProcessState:
        return self._become("kill", node, ProcessStatus.EXITED, -9)

    def suspend(self, node: str) -> ProcessState:
        return self._become("suspend", node, ProcessStatus.SUSPENDED)

    def resume(self, node: str) -> ProcessState:
        return self._become("resume", node, ProcessStatus.RUNNING)

    def start(self, node: str, *, lacking: Lack | None = None) -> ProcessState:
        del lacking
        if self.broken:
            raise NotReady("it exited again: no such file")
        return self._become("start", node, ProcessStatus.RUNNING, further=1)

    def _become(
        self, what: str, node: str, status: ProcessStatus, code: int | None = None, further: int = 0
    ) -> ProcessState:
        self.done.append(f"{what} {node}")
        self.states[node] = ProcessState(node, status, self.state(node).incarnation + further, code)
        return self.states[node]
