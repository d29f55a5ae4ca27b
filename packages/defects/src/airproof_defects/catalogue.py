"""All defects, by id. One module per category of failure-modes.csv holds them, two for sagas and for caches."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files

from airproof.errors import UsageError
from airproof_defects import (
    bus,
    cache,
    contract,
    cross_service,
    event_sourcing,
    gateway,
    orchestrator,
    outbox,
    performance,
    remembered,
    saga,
    security,
    tenancy,
    unit_of_work,
)
from airproof_defects.defect import Defect


@dataclass(frozen=True, slots=True)
class FailureMode:
    """A row of failure-modes.csv: what goes wrong in practice, and what shows it.

    Attributes:
        seen_by: the scenario that sees the seeded defect most surely; empty where there is no defect.
    """

    id: str
    category: str
    failure_mode: str
    oracle: str
    seen_by: str


def failure_modes() -> dict[str, FailureMode]:
    """The catalogue of what goes wrong in practice, by id."""
    text = files("airproof_defects").joinpath("failure-modes.csv").read_text(encoding="utf-8")
    names = [field.name for field in fields(FailureMode)]
    rows = csv.DictReader(text.splitlines())
    return {row["id"]: FailureMode(**{name: row[name] for name in names}) for row in rows}


def defects() -> dict[str, Defect]:
    """Every seeded defect, in the order of the modules."""
    modules = (
        saga,
        orchestrator,
        outbox,
        bus,
        event_sourcing,
        unit_of_work,
        cache,
        remembered,
        gateway,
        cross_service,
        contract,
        security,
        tenancy,
        performance,
    )
    return {defect.id: defect for module in modules for defect in module.DEFECTS}


def choose(ids: Sequence[str]) -> list[Defect]:
    """The defects of those ids, or all of them.

    Raises:
        UsageError: there is no such defect; names the nearest.
    """
    known = defects()
    for name in ids:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.3)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"no defect {name!r}; {hint}there are {', '.join(known)}")
    return [known[name] for name in ids] if ids else list(known.values())
