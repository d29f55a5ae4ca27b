"""What a checker returns: valid, invalid with the anomaly named and its witness, or unknown."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
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
        promise = f"[{self.category}/{self.name}] {self.promise}"
        facts = [f"    · {fact}" for fact in self.witness]
        return "\n".join([promise, f"  expected: {self.expected}", f"  seen:     {self.seen}", *facts])


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


def stuck(category: str, promise: str, error: Exception) -> Anomaly:
    """What did not go on, in a test of that promise: it waited in vain, or was answered with an error."""
    return Anomaly(category, "no-progress", promise, "the scenario goes on", str(error))


def judged(checked: str, anomalies: Iterable[Anomaly], *, unread: Iterable[str] = ()) -> Verdict:
    """The verdict of one checker: what is wrong stays wrong, whatever else could not be read."""
    found = tuple(anomalies)
    missing = ", ".join(unread)
    if found:
        return Verdict(Validity.INVALID, found, checked=(checked,))
    if missing:
        return Verdict(Validity.UNKNOWN, why_unknown=f"{checked}: could not read {missing}", checked=(checked,))
    return Verdict(Validity.VALID, checked=(checked,))


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict of many: invalid if any is, else unknown if any is."""
    all_of_them = list(verdicts)
    anomalies = tuple(anomaly for verdict in all_of_them for anomaly in verdict.anomalies)
    checked = tuple(name for verdict in all_of_them for name in verdict.checked)
    unknown = "; ".join(verdict.why_unknown for verdict in all_of_them if verdict.validity is Validity.UNKNOWN)
    if anomalies:
        return Verdict(Validity.INVALID, anomalies, unknown, checked)
    validity = Validity.UNKNOWN if unknown or not all_of_them else Validity.VALID
    return Verdict(validity, (), unknown or ("" if all_of_them else "nothing was checked"), checked)


def attempt(checked: str, check: Callable[[], Verdict]) -> Verdict:
    """The verdict of a checker; unknown if the checker itself breaks."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001  a broken checker must not pass, nor hide what the others found
        place = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{checked}: the checker broke in {place.name}, line {place.lineno}: {type(error).__name__}: {error}"
        return Verdict(Validity.UNKNOWN, why_unknown=why, checked=(checked,))
