"""A platform and a provider in memory: what a test does to its cell is seen by the plugin like the real thing.

What the provider is asked to do is written to the file that `FAKE_JOURNAL` names, one line each; `FAKE_TROUBLE` makes
it fail. Installed by putting this directory on the path: the metadata beside it holds the entry points.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from airproof.environment.capabilities import Lack, LogLine, ProcessState, ProcessStatus
from airproof.environment.topology import CellDescription, CellKind, Endpoint, Node, Role
from airproof.errors import NotReady, ProviderUnavailable
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Manifest, Service
from airproof.supervision.specs import ProcessEvent

SERVICES = ("auth-service", "billing-service", "permission-service", "user-service", "workspace-service")
SECRET = "canary-5f0c1e77-secret"


def journal(line: str) -> None:
    if path := os.environ.get("FAKE_JOURNAL"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@dataclass
class FakeNodes:
    """The nodes of one cell: their states, logs and exits."""

    lines: list[LogLine] = field(default_factory=list)
    exits: list[ProcessEvent] = field(default_factory=list)
    down: dict[str, int] = field(default_factory=dict)
    moving: list[str] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)

    def state(self, node: str) -> ProcessState:
        incarnation = 1 + self.starts[node]
        if node in self.down:
            return ProcessState(node, ProcessStatus.EXITED, incarnation, self.down[node])
        return ProcessState(node, ProcessStatus.RUNNING, incarnation)

    def kill(self, node: str) -> ProcessState:
        self.down[node] = -9
        return self.state(node)

    def start(self, node: str, *, lacking: Lack | None = None) -> ProcessState:
        del lacking
        del self.down[node]
        self.starts[node] += 1
        return self.state(node)

    def mark(self) -> dict[str, int]:
        return {"all": len(self.lines)}

    def since(self, mark: dict[str, int]) -> list[LogLine]:
        return self.lines[mark["all"] :]


CELLS: dict[str, FakeNodes] = {}


@dataclass
class FakeCapabilities:
    processes: FakeNodes
    logs: FakeNodes


class FakeProvision:
    handle = "fake-handle"
    sources: Mapping[str, str] = {"Kafka": "fake broker 1.0", "PostgreSQL": "fake server"}
    stand_ins = ("Kafka",)
    notes = ("the cache is read-only",)

    def __init__(self) -> None:
        self._number = 0

    def prepare_cell(self) -> None:
        if os.environ.get("FAKE_TROUBLE") == "cell":
            raise NotReady("auth-service did not become ready within 1 s; its last lines:\n  cannot open database")
        journal("prepare")

    def lease_cell(self, kind: CellKind = CellKind.PLAIN) -> CellDescription:
        if os.environ.get("FAKE_TROUBLE") == "cell":
            raise NotReady("auth-service did not become ready within 1 s; its last lines:\n  cannot open database")
        self._number += 1
        name = f"{'c' if kind is CellKind.PLAIN else 'p'}{os.getpid()}-{self._number}"
        CELLS[name] = FakeNodes()
        journal(f"lease {name}")
        nodes = (
            *(Node(name, Role.SERVICE, Endpoint("127.0.0.1", 1)) for name in SERVICES),
            Node("kafka", Role.KAFKA, Endpoint("127.0.0.1", 2), stand_in=True),
        )
        return CellDescription(name, nodes, secrets={"admin_key": SECRET}, kind=kind)

    def return_cell(self, cell: CellDescription, *, reusable: bool) -> None:
        CELLS.pop(cell.name)
        journal(f"return {cell.name} {'reusable' if reusable else 'spent'}")

    def capabilities(self, cell: CellDescription) -> FakeCapabilities:
        return FakeCapabilities(CELLS[cell.name], CELLS[cell.name])

    def exits(self, cell: CellDescription, after: int) -> list[ProcessEvent]:
        return [event for event in CELLS[cell.name].exits if event.sequence > after]

    def close(self) -> None:
        journal(f"close {os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


class FakeProvider:
    name = "hosts"

    def open(self, environment: object, driver: object, *, keep: bool = False, progress: object) -> FakeProvision:
        if os.environ.get("FAKE_TROUBLE") == "open":
            raise ProviderUnavailable("no Kafka on this machine: install a Java of 17 or newer")
        journal(f"open keep={keep}")
        with progress.step("Kafka"):  # type: ignore[attr-defined]
            return FakeProvision()

    def join(self, environment: object, driver: object, handle: str) -> FakeProvision:
        journal(f"join {handle}")
        return FakeProvision()


class FakePlatform:
    """Lets a test make things happen in its cell."""

    def __init__(self, manifest: Manifest, cell: CellDescription) -> None:
        self.manifest = manifest
        self.cell = cell
        self._nodes = CELLS[cell.name]

    def new_tenant(self, seed: str) -> Tenant:
        return Tenant(f"t-{seed}")

    def quiet(self) -> list[str]:
        return self._nodes.moving

    def close(self) -> None:
        pass

    def log(self, level: str, message: str, node: str = "auth-service", **more: str) -> None:
        """A line as the reference platform writes it."""
        stamp = datetime.now(UTC).isoformat()
        text = json.dumps({"ts": stamp, "level": level, "logger": "app", "message": message, **more})
        self._nodes.lines.append(LogLine(node, text, level, "app"))

    def end(self, node: str = "auth-service", *, exit_code: int = -11, requested: bool = False) -> None:
        """An exit; the node is up again at once."""
        sequence = len(self._nodes.exits) + 1
        name, at = f"{self.cell.name}/{node}", time.monotonic()
        self._nodes.exits.append(ProcessEvent(sequence, name, self.cell.name, 1, exit_code, requested, at))

    def stay_down(self, node: str = "auth-service") -> None:
        """The node is not up any more."""
        self._nodes.down[node] = -9

    def keep_moving(self) -> None:
        """The cell never becomes quiet again."""
        self._nodes.moving.append("3 messages in the outbox of auth-service")


class FakeDriver:
    manifest = Manifest("fake", (Service("auth-service"),), ())
    preload = ()
    access = ()
    topics = ()

    def databases(self) -> Sequence[str]:
        return ()

    def connect(self, cell: CellDescription, *, seed: int) -> FakePlatform:
        return FakePlatform(self.manifest, cell)
