"""What a provider may be able to do to a node. Faults reach providers only through these protocols.

A provider offers a capability by having the attribute; one that cannot do it leaves it `None`, and the fault
raises `FaultUnsupported`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class ProcessStatus(StrEnum):
    """What a node's process is doing."""

    RUNNING = "running"
    SUSPENDED = "suspended"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A node's process as last observed.

    Attributes:
        incarnation: 1 for the first start in the cell, one more for each restart.
        exit_code: as the operating system reports it, negative for a signal; None while it lives.
    """

    node: str
    status: ProcessStatus
    incarnation: int
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Lack:
    """A secret of the cell that a node is started without.

    Attributes:
        secret: its name among the cell's secrets.
        blank: what the node is told in its place is empty, and not left out.
    """

    secret: str
    blank: bool = False

    def __str__(self) -> str:
        return f"{'an empty' if self.blank else 'no'} {self.secret}"


class ProcessControl(Protocol):
    """Kill, suspend and start nodes. Every call returns when its effect has been observed."""

    def state(self, node: str) -> ProcessState:
        """What the node's process is doing now."""
        ...

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        """Asks the node to shut down gracefully and waits until it has exited.

        Raises:
            NotReady: it has not exited after `timeout_s`.
        """
        ...

    def kill(self, node: str) -> ProcessState:
        """Ends the node at once (SIGKILL), suspended or not, and waits until it is gone."""
        ...

    def suspend(self, node: str) -> ProcessState:
        """Freezes the node (SIGSTOP): its sockets stay open and nothing is answered."""
        ...

    def resume(self, node: str) -> ProcessState:
        """Lets a suspended node go on."""
        ...

    def start(self, node: str, *, lacking: Lack | None = None) -> ProcessState:
        """Starts an exited node on the same address and waits until it is ready, as long as at the beginning.

        Args:
            lacking: what it is not told, this once.

        Raises:
            NotReady: it is not ready after the environment's `timeouts.ready_s`, or exited again; the message holds
                its last log lines.
        """
        ...


class Resource(StrEnum):
    """What a node may run short of; the amount in `ResourceControl.limit` is counted so.

    `MEMORY`: bytes beyond what it uses now. `CPU`: a share of one core. `OPEN_FILES`: files and connections beyond
    those that each process has open now. `FILE_SIZE`: bytes that a file may have.
    """

    MEMORY = "memory"
    CPU = "cpu"
    OPEN_FILES = "open files"
    FILE_SIZE = "file size"


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A limit in force on the processes that a node has now.

    Attributes:
        means: the limit in numbers and how it is put, for the reader.
    """

    node: str
    resource: Resource
    means: str


class ResourceControl(Protocol):
    """Limits on what the nodes may use. A node that is started again is without them."""

    def limit(self, node: str, what: Resource, amount: float) -> Limit:
        """Puts a limit on a node and reads it back.

        Raises:
            FaultUnsupported: not here, or not on this node.
        """
        ...

    def lift(self, limit: Limit) -> str:
        """Takes it away and says what was seen then. Nothing the second time.

        Raises:
            NotReady: it is still there.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a node wrote. `level` is `error` and the like where the node logs JSON, else empty."""

    node: str
    text: str
    level: str = ""
    logger: str = ""


class LogAccess(Protocol):
    """The captured output of every node."""

    def mark(self) -> dict[str, int]:
        """The present end of every node's log, to be given to `since`."""
        ...

    def since(self, mark: dict[str, int]) -> list[LogLine]:
        """What was written after `mark`, per node in order."""
        ...


class StorageAccess(Protocol):
    """The files of the nodes."""

    def directory(self, node: str) -> Path:
        """Where a running node keeps its data, to be read and written by this process.

        Raises:
            FaultUnsupported: it cannot be reached.
        """
        ...


class MigrationControl(Protocol):
    """What brings the cell's databases up to date, as operators run it at each deployment."""

    def run(self, times: int) -> list[str]:
        """Runs it so often at the same time and waits until all have ended.

        Returns what became of each that has not ended well: its exit status and its last words.
        """
        ...


class Capabilities(Protocol):
    """What can be done to the nodes of one cell."""

    processes: ProcessControl | None
    logs: LogAccess | None
    resources: ResourceControl | None
    storage: StorageAccess | None
    migration: MigrationControl | None
