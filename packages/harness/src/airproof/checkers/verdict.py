"""What a checker returns: valid, invalid with the anomaly named and its witness, or unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Validity(StrEnum):
    """Unknown never passes."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One broken promise.

    Attributes:
        category: as in failure-modes.csv: `SAGA`, `OUTBOX`, `BUS`, …; what a proof blames.
        name: short and stable, such as `effect-remains`.
        promise: the sentence that was broken.
        expected: what the promise allows.
        seen: what was observed instead.
        witness: the fewest facts (rows, messages, operations) that show it.
    """

    category: str
    name: str
    promise: str
    expected: str
    seen: str
    witness: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"[{self.category}/{self.name}] {self.promise}", f"  expected: {self.expected}", f"  seen:     {self.seen}"]
        return "\n".join(lines + [f"    · {fact}" for fact in self.witness])


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement; true only when valid."""

    validity: Validity
    anomalies: tuple[Anomaly, ...] = ()
    why_unknown: str = ""
    checked: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return self.validity is Validity.VALID

    def __str__(self) -> str:
        if self.validity is Validity.UNKNOWN:
            return f"unknown: {self.why_unknown}"
        return "\n".join(str(anomaly) for anomaly in self.anomalies) or "valid"
