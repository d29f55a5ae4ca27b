"""What a family of the fault matrix is, and what it has one scenario for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from airproof.environment.topology import CellKind
from airproof_e2e.saga import moments
from airproof_e2e.saga.stage import Stage


def in_turn(body: moments.Body) -> Callable[[Stage], object]:
    """A scenario in which the same happens at every step of one saga, one after the other."""
    return lambda stage: moments.in_turn(stage, body)


class Per(Enum):
    """What a family has one scenario for."""

    SAGA = "the saga"
    STEP = "each step"
    REFUSABLE = "each step that its participant may refuse"
    UNDOING = "the saga's way back, if there is one"
    UNDO_REFUSABLE = "each step whose undoing may be refused"
    SUBSCRIPTION = "each subscription to an event of the saga"
    MAIL = "the step that sends a mail"
    LIMITED = "each step whose refusal is a limit"
    UNDOABLE = "each step that can be undone"
    LAST_UNDOABLE = "the last of the steps that can be undone"


@dataclass(frozen=True, slots=True)
class Family:
    """Scenarios that do the same thing at different places.

    Attributes:
        promise: one line for the report; `{subject}` is the place.
        covers: rows of the feature ledger.
        undoing: whether it is about undoing a step.
        cell: the kind of cell that it needs.
        tests: see `Expectation.tests`.
        smoke: whether it belongs to the quick check of a pull request.
    """

    name: str
    per: Per
    act: Callable[[Stage], object]
    promise: str
    covers: tuple[str, ...] = ("SAGA-1",)
    undoing: bool = False
    tests: str = "SAGA"
    cell: CellKind = CellKind.PLAIN
    smoke: bool = False


CRASH = ("SAGA-1", "FI-2")
ATOMIC = ("SAGA-1", "OUT-1", "UOW-1", "UOW-2")
RELAY = ("SAGA-1", "OUT-2", "OUT-3", "FI-2")
TWICE = ("SAGA-1", "EB-2")
