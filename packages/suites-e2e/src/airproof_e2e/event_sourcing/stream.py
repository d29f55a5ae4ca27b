"""One entity, and the record of what was asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.readouts import keep, keep_verdict
from airproof.checkers.streams import Attempt, EntityStream
from airproof.checkers.verdict import Anomaly, combine, judged
from airproof.platform.entities import EntityAccess, EntityRef
from airproof.platform.observation import Update, UpdateOutcome

WAIT_S = 10.0
FIRST = 1


@dataclass
class Stream:
    """One entity and everything that was asked of it.

    Attributes:
        anomalies: what the scenario itself has seen.
    """

    cell: Cell
    access: EntityAccess
    ref: EntityRef
    attempts: list[Attempt] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)

    def update(self, value: str, expected_version: int, *, key: str | None = None) -> Update:
        """Updates the entity, on the record.

        What has no key is of one conversation: nothing but its key makes a request the same as an earlier one.
        """
        arguments = {"id": self.ref.id, "value": value, "expected_version": expected_version, "key": key}
        with self.cell.history.operation(f"update {self.access.entity.name}", args=arguments) as operation:
            mine = f"corr-{uuid4() if key else self.ref.id}"
            update = self.access.update(
                self.ref, value, expected_version=expected_version, key=key, correlation_id=mine
            )
            closing = {
                UpdateOutcome.DONE: operation.ok,
                UpdateOutcome.CONFLICT: operation.fail,
                UpdateOutcome.UNKNOWN: operation.info,
            }
            closing[update.outcome](update)
        self.attempts.append(Attempt(expected_version, value, update, key or "", mine))
        return update

    def demand(self, expected: UpdateOutcome, *updates: Update, category: str = "ES") -> None:
        """Each of the updates came out like that; those that did not are noted, and blamed on the category."""
        for one in updates:
            if one.outcome is not expected:
                promise = "an update at the last version is done, and any other one conflicts"
                seen = f"{one.outcome.value}: {one.reason}" if one.reason else one.outcome.value
                self.anomalies.append(Anomaly(category, "wrong-outcome", promise, expected.value, seen))

    def judge(self, *, removed: str = "") -> None:
        """Fails the test if the stream or the entity is not what the answers promised.

        Args:
            removed: the type of the event that ends it, if it must be gone.
        """
        events, truth = tuple(self.access.stream(self.ref)), self.access.truth(self.ref)
        entity, tenant = f"{self.access.entity.name} {self.ref.id}", self.ref.tenant.id
        tells = self.access.entity.tells
        seen = EntityStream(entity, events, tuple(self.attempts), truth, tenant, removed, tells)
        keep(self.cell.history, seen)
        verdict = combine([seen.judge(), judged("scenario", self.anomalies)])
        keep_verdict(self.cell.history, verdict, of_scenario=self.anomalies)
        if not verdict:
            pytest.fail(str(verdict), pytrace=False)
