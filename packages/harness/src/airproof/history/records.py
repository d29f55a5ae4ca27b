"""The records of a history, and the entries in which they are written.

A history is written as a stream of small entries (`invoke`, later `ok`), so that what a killed process had begun is
on disk. Everybody who judges or draws one wants whole operations instead: `folding.fold` makes them.

All times are seconds since the history began, by the monotonic clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from airproof.history.crossings import AppliedAction, WireEvent


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
    WIRE = "wire"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history.

    Attributes:
        id: of the operation or fault it belongs to; 0 for a note and for what crossed a link.
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
    """An observation that shows that a fault took effect.

    Attributes:
        applied: where a wire's rule did it, what it did and to what.
    """

    at: float
    what: str
    facts: dict[str, Any] = field(default_factory=dict)
    applied: AppliedAction | None = None


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
        wire: what crossed links, in the order of the requests.
    """

    header: dict[str, Any]
    operations: tuple[Operation, ...]
    faults: tuple[FaultRecord, ...]
    notes: tuple[Note, ...]
    duration_s: float
    wire: tuple[WireEvent, ...] = ()

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
