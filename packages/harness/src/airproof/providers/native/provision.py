"""A native environment that is up, as one process of the run sees it."""

from __future__ import annotations

from collections.abc import Mapping

from airproof.environment.capabilities import ProcessStatus
from airproof.environment.model import Environment
from airproof.environment.topology import CellDescription, CellKind
from airproof.platform.driver import Driver
from airproof.providers.native.capabilities import NativeCapabilities, NativeLogs, NativeProcesses, NativeStorage
from airproof.providers.native.cell import remove_cell, start_cell
from airproof.providers.native.description import (
    PREFIXES,
    SHARED,
    cell_fact,
    node_probes,
    process_names,
)
from airproof.providers.native.migration import NativeMigration
from airproof.providers.native.plan import Plan
from airproof.providers.native.platform_processes import base_environment
from airproof.providers.native.resources import NativeResources
from airproof.providers.native.run_limits import remove_left_overs
from airproof.providers.native.start_archive import Training
from airproof.providers.protocol import Progress
from airproof.supervision import ProcessEvent, Supervisor

ARCHIVE_TIMEOUT_S = 15.0
FIRST_CELL = "the first cell is up"


class NativeProvision:
    """Cells made of processes of this machine; implements `Provision`.

    Attributes:
        notes: what the reader of the run should know, such as that the cache is read-only.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        plan: Plan,
        environment: Environment,
        driver: Driver,
        progress: Progress,
        *,
        training: Training | None = None,
        ends_with_us: bool = False,
    ) -> None:
        self._supervisor = supervisor
        self._plan = plan
        self._environment = environment
        self._driver = driver
        self._progress = progress
        self._training = training
        self._ends_with_us = ends_with_us
        self.notes = plan.notes

    @property
    def handle(self) -> str:
        """The run directory of the supervisor."""
        return str(self._supervisor.run_directory)

    @property
    def sources(self) -> Mapping[str, str]:
        """Backing to what was taken."""
        return self._plan.sources()

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """The backings that are not the real product."""
        return self._plan.stand_ins()

    def prepare_cell(self) -> None:
        """A new cell to be leased by others, if there is none yet."""
        if not any(group.name.startswith(PREFIXES[CellKind.PLAIN]) for group in self._supervisor.groups()):
            self._supervisor.release(self._new_cell(CellKind.PLAIN).name)

    def lease_cell(self, kind: CellKind = CellKind.PLAIN) -> CellDescription:
        """A free cell whose processes all run, or a new one."""
        return self._free_cell(kind) or self._new_cell(kind)

    def _free_cell(self, kind: CellKind) -> CellDescription | None:
        while group := self._supervisor.claim(PREFIXES[kind]):
            described = self._supervisor.get(cell_fact(group))
            states = self._supervisor.states(group)
            if described and _all_run(CellDescription.from_json(described), {s.node: s.status for s in states}):
                return CellDescription.from_json(described)
            self._supervisor.remove(group)
        return None

    def _new_cell(self, kind: CellKind) -> CellDescription:
        cell = start_cell(
            self._supervisor,
            self._plan,
            self._environment,
            self._driver,
            self._progress,
            kind,
        )
        self._supervisor.put(FIRST_CELL, value=True)
        return cell

    def return_cell(self, cell: CellDescription, *, reusable: bool) -> None:
        """Gives a cell back: to be leased again, or to be removed."""
        if reusable:
            self._supervisor.release(cell.name)
        else:
            remove_cell(self._supervisor, cell)

    def capabilities(self, cell: CellDescription) -> NativeCapabilities:
        """Its processes, their logs, what they may use and keep, and what migrates its databases."""
        names = process_names(cell)
        paths = {node: self._supervisor.log_path(name) for node, name in names.items()}
        ready_s = self._environment.timeouts.ready_s
        processes = NativeProcesses(self._supervisor, cell, names, node_probes(cell, self._driver), ready_s)
        resources = NativeResources(self._supervisor, cell, names)
        storage, platform = NativeStorage(self._supervisor, names), base_environment(self._environment)
        migration = NativeMigration(self._supervisor, cell, self._driver.migration, platform)
        return NativeCapabilities(processes, NativeLogs(paths), resources, storage, migration)

    def cells(self) -> list[CellDescription]:
        """The cells that are up, oldest first."""
        facts = [
            self._supervisor.get(cell_fact(group.name))
            for group in self._supervisor.groups()
            if group.name.startswith(tuple(PREFIXES.values()))
        ]
        return [CellDescription.from_json(fact) for fact in facts if fact]

    def exits(self, cell: CellDescription, after: int) -> list[ProcessEvent]:
        """The exits of the cell's nodes and of what all cells share; names are `<group>/<node>`."""
        nodes = {*process_names(cell).values()}
        return [event for event in self._supervisor.events(after) if event.name in nodes or event.group == SHARED]

    def close(self) -> None:
        """Ends this process's use. What is left of making the start archive is waited for, but not long."""
        if self._training is not None:
            if self._training.running:
                with self._progress.step("start archive for Kafka, once per machine"):
                    self._training.finish(ARCHIVE_TIMEOUT_S)
            self._training.finish(0)
        if self._ends_with_us:
            self.stop()
        else:
            self._supervisor.close()

    def stop(self) -> None:
        """Ends the environment and removes everything it had."""
        self._supervisor.stop()
        remove_left_overs(of=self._supervisor.run_directory.name)


def _all_run(cell: CellDescription, statuses: Mapping[str, ProcessStatus]) -> bool:
    own = [name for name in process_names(cell).values() if name.startswith(f"{cell.name}/")]
    return all(statuses.get(name) is ProcessStatus.RUNNING for name in own)
