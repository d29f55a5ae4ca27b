"""What can be done to the nodes of a native cell: its processes and their logs."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from airproof.environment.capabilities import (
    Lack,
    LogAccess,
    LogLine,
    MigrationControl,
    ProcessControl,
    ProcessState,
    ProcessStatus,
    ResourceControl,
    StorageAccess,
)
from airproof.environment.topology import CellDescription, Role
from airproof.errors import FaultUnsupported, NotReady, WaitTimeout
from airproof.providers.native.readiness import Probe, await_ready, last_lines
from airproof.providers.native.shared_memory import note_segments
from airproof.supervision import Supervisor

GONE_TIMEOUT_S = 10.0
STATE_TIMEOUT_S = 5.0
POSTGRES = {Role.POSTGRES_PRIMARY, Role.POSTGRES_REPLICA}
GRACEFUL = dict.fromkeys(POSTGRES, signal.SIGINT)
"""PostgreSQL takes SIGTERM as: wait until every client has left."""


@dataclass(slots=True)
class NativeCapabilities:
    """All capabilities; a native cell always has them, though not every limit can be had on every machine."""

    processes: ProcessControl | None
    logs: LogAccess | None
    resources: ResourceControl | None
    storage: StorageAccess | None
    migration: MigrationControl | None


class NativeProcesses:
    """Signals to the processes of one cell; implements `ProcessControl`.

    Attributes:
        cell: whose nodes.
        names: node to the supervisor's name of its process.
        probes: node to what asks it whether it is ready.
        ready_s: how long a node may take to become so.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        cell: CellDescription,
        names: Mapping[str, str],
        probes: Mapping[str, Probe],
        ready_s: float,
    ) -> None:
        self._supervisor = supervisor
        self._cell = cell
        self._names = names
        self._probes = probes
        self._ready_s = ready_s

    def state(self, node: str) -> ProcessState:
        """What the node's process is doing now."""
        self._cell.node(node)
        return self._seen(node, self._supervisor.state(self._names[node]))

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        """Asks the node to shut down gracefully and waits until it has exited."""
        name = self._own(node)
        self._supervisor.signal(name, GRACEFUL.get(self._cell.node(node).role, signal.SIGTERM))
        try:
            return self._seen(node, self._supervisor.wait_exit(name, timeout_s))
        except WaitTimeout as error:
            raise NotReady(
                f"{node} has not shut down {timeout_s:g} s after it was asked to; {last_lines(self._supervisor, name)}"
            ) from error

    def kill(self, node: str) -> ProcessState:
        """Ends the node at once, suspended or not, and waits until it is gone."""
        name = self._own(node)
        self._supervisor.signal(name, signal.SIGKILL)
        return self._seen(node, self._supervisor.wait_exit(name, GONE_TIMEOUT_S))

    def suspend(self, node: str) -> ProcessState:
        """Freezes the node: its sockets stay open and nothing is answered."""
        name = self._own(node)
        self._supervisor.signal(name, signal.SIGSTOP)
        return self._seen(node, self._supervisor.wait_state(name, ProcessStatus.SUSPENDED, STATE_TIMEOUT_S))

    def resume(self, node: str) -> ProcessState:
        """Lets a suspended node go on."""
        name = self._own(node)
        self._supervisor.signal(name, signal.SIGCONT)
        return self._seen(node, self._supervisor.wait_state(name, ProcessStatus.RUNNING, STATE_TIMEOUT_S))

    def start(self, node: str, *, lacking: Lack | None = None) -> ProcessState:
        """Starts an exited node on the same address and waits until it is ready."""
        name = self._own(node)
        lost = {self._cell.secrets[lacking.secret]: "" if lacking.blank else None} if lacking else {}
        state = self._supervisor.restart(name, lost)
        group = name.partition("/")[0]
        await_ready(self._supervisor, group, {name: self._probes[node]}, timeout_s=self._ready_s)
        if self._cell.node(node).role in POSTGRES:
            note_segments(self._supervisor, group, name)
        return self._seen(node, state)

    def _own(self, node: str) -> str:
        """The process of a node that belongs to this cell alone."""
        if self._cell.node(node).role is Role.KAFKA and not self._cell.private_broker:
            raise FaultUnsupported(
                f"{node} is shared by the cells of the run; a test that breaks the broker asks for a private one"
            )
        return self._names[node]

    @staticmethod
    def _seen(node: str, state: ProcessState) -> ProcessState:
        return replace(state, node=node)


class NativeStorage:
    """The working directories of the nodes, in which each keeps what it stores; implements `StorageAccess`."""

    def __init__(self, supervisor: Supervisor, names: Mapping[str, str]) -> None:
        self._supervisor = supervisor
        self._names = names

    def directory(self, node: str) -> Path:
        """Where a running node keeps its data."""
        try:
            return Path(f"/proc/{self._supervisor.pid(self._names[node])}/cwd").readlink()
        except OSError as error:
            raise FaultUnsupported(f"the files of {node!r} cannot be reached: {error.strerror}") from error


class NativeLogs:
    """The captured output of the nodes of one cell; implements `LogAccess`."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def mark(self) -> dict[str, int]:
        """The present end of every node's log, in bytes."""
        return {node: path.stat().st_size if path.exists() else 0 for node, path in self._paths.items()}

    def since(self, mark: dict[str, int]) -> list[LogLine]:
        """What was written after `mark`, per node in order."""
        return [
            _parsed(node, text)
            for node, path in self._paths.items()
            if path.exists()
            for text in _read(path, mark.get(node, 0))
        ]


def _read(path: Path, offset: int) -> list[str]:
    """The lines behind the offset, split at the ends of lines alone: a message may hold other separators."""
    with path.open("rb") as file:
        file.seek(offset)
        return [line.decode(errors="replace") for line in file.read().splitlines()]


def _parsed(node: str, text: str) -> LogLine:
    try:
        entry = json.loads(text) if text.startswith("{") else None
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return LogLine(node, text)
    return LogLine(node, text, level=str(entry.get("level", "")).lower(), logger=str(entry.get("logger", "")))
