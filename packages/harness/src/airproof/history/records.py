"""The records of a history, and the fold that makes them from the entries in which they were written.

A history is written as a stream of small entries (`invoke`, later `ok`), so that what a killed process had begun is
on disk. Everybody who judges or draws one wants whole operations instead: `fold` makes them, from memory and from a
file alike.

All times are seconds since the history began, by the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class Outcome(StrEnum):
    """How an operation ended: `info` is unknown (it may have taken effect, now or later)."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class EntryKind(StrEnum):
    """The kinds of entries that are written. The first three close an `invoke`."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"
    INVOKE = "invoke"
    FAULT = "fault"
    EVIDENCE = "evidence"
    HEALED = "healed"
    ENDED = "ended"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history.

    Attributes:
        id: of the operation or fault it belongs to; 0 for a note.
        data: JSON values.
    """

    kind: EntryKind
    at: float
    id: int
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a client did.

    Attributes:
        process: the client or thread that did it; its operations do not overlap.
        result: what it gave, or the reason where it failed or is unknown.
        completed_at: None while it had not returned when the history ended; its outcome is then `info`.
    """

    id: int
    process: str
    name: str
    args: dict[str, Any]
    outcome: Outcome
    result: Any
    invoked_at: float
    completed_at: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which crashes and error log lines a declared fault accounts for. Node, logger and message are globs.

    Attributes:
        logger: loggers whose error lines are explained; None explains no line at all.
        exits: whether the end of the node's process is explained.
        because: why the fault makes them, for the reader.
    """

    node: str = "*"
    logger: str | None = None
    message: str = "*"
    exits: bool = False
    because: str = ""

    def explains_exit(self, node: str) -> bool:
        """Whether the end of that node's process is expected."""
        return self.exits and fnmatchcase(node, self.node)

    def explains_line(self, node: str, logger: str, message: str) -> bool:
        """Whether that error line is expected."""
        return (
            self.logger is not None
            and fnmatchcase(node, self.node)
            and fnmatchcase(logger, self.logger)
            and fnmatchcase(message, self.message)
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """An observation that shows that a fault took effect."""

    at: float
    what: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """Something broken on purpose.

    Attributes:
        kind: `killed`, `suspended`, `stopped`, …
        target: the node or link.
        required: whether the test proves nothing without evidence of it.
        ended_at: None while it had not ended when the history ended.
        healed: the observation that showed it healed; empty if it did not.
    """

    id: int
    kind: str
    target: str
    started_at: float
    ended_at: float | None
    required: bool
    explains: tuple[Explanation, ...]
    evidence: tuple[Evidence, ...]
    healed: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A remark or a read-out, with its data."""

    at: float
    text: str
    process: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole history, as checkers and reports want it.

    Attributes:
        header: what the history is of: `test`, `seed`, `cell`, `began` (ISO 8601, UTC).
        duration_s: the time of the last entry.
    """

    header: dict[str, Any]
    operations: tuple[Operation, ...]
    faults: tuple[FaultRecord, ...]
    notes: tuple[Note, ...]
    duration_s: float

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """What all faults explain."""
        return tuple(explanation for fault in self.faults for explanation in fault.explains)

    def unhealed(self) -> tuple[FaultRecord, ...]:
        """The faults that nobody saw healed."""
        return tuple(fault for fault in self.faults if not fault.healed)

    def to_json(self) -> dict[str, Any]:
        """The recording as JSON values."""
        return asdict(self)


def fold(header: dict[str, Any], entries: Iterable[Entry]) -> Recording:
    """The recording that the entries tell."""
    begun: dict[int, Entry] = {}
    closed: dict[int, Entry] = {}
    during: dict[int, list[Entry]] = {}
    notes: list[Note] = []
    last = 0.0
    for entry in entries:
        last = max(last, entry.at)
        if entry.kind is EntryKind.NOTE:
            notes.append(Note(entry.at, entry.data["text"], entry.data["process"], entry.data["facts"]))
        elif entry.kind in {EntryKind.INVOKE, EntryKind.FAULT}:
            begun[entry.id] = entry
        elif entry.kind in {EntryKind.EVIDENCE, EntryKind.HEALED}:
            during.setdefault(entry.id, []).append(entry)
        else:
            closed[entry.id] = entry
    invoked = [entry for entry in begun.values() if entry.kind is EntryKind.INVOKE]
    faults = [entry for entry in begun.values() if entry.kind is EntryKind.FAULT]
    return Recording(
        header=header,
        operations=tuple(_operation(entry, closed.get(entry.id)) for entry in invoked),
        faults=tuple(_fault(entry, during.get(entry.id, []), closed.get(entry.id)) for entry in faults),
        notes=tuple(notes),
        duration_s=last,
    )


def _operation(invoked: Entry, completed: Entry | None) -> Operation:
    return Operation(
        id=invoked.id,
        process=invoked.data["process"],
        name=invoked.data["name"],
        args=invoked.data["args"],
        outcome=Outcome(completed.kind.value) if completed else Outcome.INFO,
        result=completed.data["result"] if completed else None,
        invoked_at=invoked.at,
        completed_at=completed.at if completed else None,
    )


def _fault(begun: Entry, during: list[Entry], ended: Entry | None) -> FaultRecord:
    evidence = [entry for entry in during if entry.kind is EntryKind.EVIDENCE]
    healed = [entry.data["what"] for entry in during if entry.kind is EntryKind.HEALED]
    return FaultRecord(
        id=begun.id,
        kind=begun.data["kind"],
        target=begun.data["target"],
        started_at=begun.at,
        ended_at=ended.at if ended else None,
        required=begun.data["required"],
        explains=tuple(Explanation(**explanation) for explanation in begun.data["explains"]),
        evidence=tuple(Evidence(entry.at, entry.data["what"], entry.data["facts"]) for entry in evidence),
        healed=healed[-1] if healed else "",
        facts=begun.data["facts"],
    )
