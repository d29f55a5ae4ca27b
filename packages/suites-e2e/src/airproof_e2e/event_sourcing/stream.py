"""One entity and everything that was asked of it, on the record."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from airproof.cells import Cell
from airproof.checkers.readouts import keep, keep_verdict
from airproof.checkers.streams import Attempt, EntityStream
from airproof.platform.entities import EntityAccess, EntityRef
from airproof.platform.observation import Update, UpdateOutcome
from airproof.plugin import manifest

WAIT_S = 10.0
FIRST = 1


def per_entity(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each kind of entity that the platform's manifest declares."""
    if "entity" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        entities = declared.entities if declared else ()
        metafunc.parametrize("entity", [pytest.param(one, id=one.name) for one in entities])


@dataclass
class Stream:
    """One entity and everything that was asked of it."""

    cell: Cell
    access: EntityAccess
    ref: EntityRef
    attempts: list[Attempt] = field(default_factory=list)

    def update(self, value: str, expected_version: int, *, key: str | None = None) -> Update:
        """Updates the entity, on the record."""
        arguments = {"id": self.ref.id, "value": value, "expected_version": expected_version, "key": key}
        with self.cell.history.operation(f"update {self.access.entity.name}", args=arguments) as operation:
            update = self.access.update(self.ref, value, expected_version=expected_version, key=key)
            closing = {
                UpdateOutcome.DONE: operation.ok,
                UpdateOutcome.CONFLICT: operation.fail,
                UpdateOutcome.UNKNOWN: operation.info,
            }
            closing[update.outcome](update)
        self.attempts.append(Attempt(expected_version, value, update, key or ""))
        return update

    def judge(self, *, removed: str = "") -> None:
        """Fails the test if the stream or the entity is not what the answers promised.

        Args:
            removed: the type of the event that ends it, if it must be gone.
        """
        events, truth = tuple(self.access.stream(self.ref)), self.access.truth(self.ref)
        seen = EntityStream(f"{self.access.entity.name} {self.ref.id}", events, tuple(self.attempts), truth, removed)
        keep(self.cell.history, seen)
        verdict = seen.judge()
        keep_verdict(self.cell.history, verdict)
        if not verdict:
            pytest.fail(str(verdict), pytrace=False)
