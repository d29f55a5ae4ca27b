"""The cells of one worker: a plain one that is kept from test to test, and one of another kind on demand.

A cell that is not quiet or not healthy is never repaired, always replaced: a new one costs less than doubt.
"""

from __future__ import annotations

from collections.abc import Callable

from airproof.cells.cell import Cell
from airproof.environment.topology import CellDescription, CellKind
from airproof.errors import AirproofError, CleanUpError, NotReady
from airproof.platform.driver import Platform
from airproof.providers.protocol import Provision

_ATTEMPTS = 2


class WorkerCells:
    """Hands out cells to the tests of one worker, one at a time.

    Args:
        connect: gives access to a cell.
        barrier_s: how long a cell may take to become quiet.
        replaced: told a line for each cell that is replaced.

    Attributes:
        leased: how many cells have been leased so far.
    """

    def __init__(
        self,
        provision: Provision,
        connect: Callable[[CellDescription], Platform],
        *,
        barrier_s: float,
        replaced: Callable[[str], None],
    ) -> None:
        self._provision = provision
        self._connect = connect
        self._barrier_s = barrier_s
        self._replaced = replaced
        self._cells: dict[CellKind, Cell] = {}
        self._settled: set[str] = set()
        self.leased = 0

    def prefetch(self) -> None:
        """Leases the plain cell ahead of the first test that wants it.

        Raises:
            NotReady: a node of it did not become ready; the message holds its last log lines.
        """
        self._lease(CellKind.PLAIN)

    def take(self, kind: CellKind = CellKind.PLAIN) -> Cell:
        """A quiet and healthy cell.

        Raises:
            NotReady: not even a new cell became quiet.
        """
        self._drop_others(kind)
        why = ""
        for _ in range(_ATTEMPTS):
            cell = self._cells.get(kind) or self._lease(kind)
            why = self._trouble(cell)
            if not why:
                return cell
            self.replace(cell, why)
        raise NotReady(f"a new cell is no better than the one it replaced: {why}")

    def settle(self, cell: Cell, *, timeout_s: float | None = None) -> str:
        """Waits until a cell is quiet and healthy again; returns why it cannot be used any more, or nothing."""
        self._settled.discard(cell.description.name)
        return self._trouble(cell, timeout_s)

    def replace(self, cell: Cell, why: str) -> None:
        """Removes a cell that nobody should use any more; the next test gets a new one."""
        self._replaced(f"cell {cell.description.name} is replaced: {why}")
        self._remove(cell, reusable=False)

    def close(self) -> None:
        """Gives all cells back; settled ones may be used again where the environment is kept.

        Raises:
            CleanUpError: some could not be given back.
        """
        failures: list[BaseException] = []
        for cell in list(self._cells.values()):
            try:
                self._remove(cell, reusable=cell.description.name in self._settled)
            except (AirproofError, OSError) as error:
                failures.append(error)
        if failures:
            raise CleanUpError("cells of this worker", failures)

    def _lease(self, kind: CellKind) -> Cell:
        description = self._provision.lease_cell(kind)
        self.leased += 1
        cell = Cell(description, self._provision.capabilities(description), self._connect(description))
        self._cells[kind] = cell
        return cell

    def _trouble(self, cell: Cell, timeout_s: float | None = None) -> str:
        """Why the cell cannot be used; empty when it can."""
        try:
            if cell.description.name not in self._settled:
                cell.barrier(self._barrier_s if timeout_s is None else timeout_s)
            why = "; ".join(cell.health())
        except Exception as error:  # noqa: BLE001 - whatever a driver raises about a broken cell, the cell is broken
            why = f"{type(error).__name__}: {error}"
        if why:
            self._settled.discard(cell.description.name)
        else:
            self._settled.add(cell.description.name)
        return why

    def _drop_others(self, kind: CellKind) -> None:
        """Only the plain cell is kept beside the one that is wanted."""
        for other in set(self._cells) - {kind, CellKind.PLAIN}:
            reusable = other is CellKind.WIRED and self._cells[other].description.name in self._settled
            self._remove(self._cells[other], reusable=reusable)

    def _remove(self, cell: Cell, *, reusable: bool) -> None:
        self._cells = {kind: kept for kind, kept in self._cells.items() if kept is not cell}
        self._settled.discard(cell.description.name)
        try:
            cell.platform.close()
        finally:
            self._provision.return_cell(cell.description, reusable=reusable)
