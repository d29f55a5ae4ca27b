"""What crosses the links of a wired cell during a test, for the test's history."""

from __future__ import annotations

from airproof.cells.cell import Cell
from airproof.history import WireEvent
from airproof.wire import Event, WireGone

SHOWN_CHARACTERS = 100
"""Of a field: the history is to say what crossed, not all that was in it."""


class Tap:
    """Records every exchange from now on, and tells the cell's history of it when asked. Does nothing without wires."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._links = {link.name: link for link in cell.description.links}
        self._cursor = 0
        if self._links:
            cell.wire.record()
            self._cursor = cell.wire.cursor()

    def collect(self) -> None:
        """Writes what has crossed since the last time. A wire that has died is judged by its exit."""
        if not self._links:
            return
        try:
            events = self._cell.wire.events(self._cursor)
        except WireGone:
            return
        if events:
            self._cursor = events[-1]["number"]
        self._cell.history.crossed(self._crossing(event) for event in events if event["kind"] == "exchange")

    def _crossing(self, event: Event) -> WireEvent:
        link = self._links[event["link"]]
        return WireEvent(
            requested_at=event["requested_at"],
            replied_at=event["replied_at"],
            source=link.source,
            target=link.target,
            protocol=link.protocol,
            event=event["event"],
            fields={name: _short(value) for name, value in event["fields"].items()},
            outcome=event["outcome"],
            connection=event["connection"],
            number=event["exchange"],
            transaction=event["transaction"],
        )


def _short(value: str | int) -> str | int:
    return f"{value[:SHOWN_CHARACTERS]}…" if isinstance(value, str) and len(value) > SHOWN_CHARACTERS else value
