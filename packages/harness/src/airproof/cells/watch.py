"""Watches a cell while a test uses it: which of its processes ended and what its nodes wrote."""

from __future__ import annotations

from airproof.cells.cell import Cell
from airproof.cells.logs import LogEntry, LogReader, by_time, parse
from airproof.providers.protocol import Provision
from airproof.supervision.specs import ProcessEvent


class Watch:
    """Begins at the present; every look shows what has happened since the last one."""

    def __init__(self, cell: Cell, provision: Provision) -> None:
        self._cell = cell
        self._provision = provision
        logs = cell.capabilities.logs
        self._reader = LogReader(logs) if logs else None
        self._sequence = 0
        self._exits()

    def look(self) -> tuple[list[ProcessEvent], list[LogEntry]]:
        """The exits, and the log entries in the order they were written."""
        exits = self._exits()
        lines = self._reader.read() if self._reader else []
        return exits, by_time(parse(line) for line in lines)

    def _exits(self) -> list[ProcessEvent]:
        events = self._provision.exits(self._cell.description, self._sequence)
        self._sequence = max((event.sequence for event in events), default=self._sequence)
        return events
