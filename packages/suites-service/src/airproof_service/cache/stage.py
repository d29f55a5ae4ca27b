"""One entity behind a cache, and the record of what its readers and its writer did."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import NoReturn
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.readouts import keep, keep_verdict
from airproof.checkers.reads import CATEGORY, GONE, CachedReads, Invalidation, Read
from airproof.checkers.verdict import Anomaly, Verdict, combine, judged
from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import Platform, Tenant
from airproof.platform.entities import CacheAccess, EntityAccess, EntityRef
from airproof.platform.manifest import Cached
from airproof.platform.observation import BusMessage, Snapshot, Update, UpdateOutcome
from airproof.waiting import wait_until
from airproof_service.stage import WAIT_S


def value_of(version: int) -> str:
    """What the entity is given with that version."""
    return f"version {version}"


@dataclass
class Stage:
    """A scenario's view of one entity.

    Attributes:
        written: the value of every version that may be read.
        asked: the correlation id of the request for every version that was asked for.
        anomalies: what the scenario itself has seen.
    """

    cell: Cell
    platform: Platform
    cached: Cached
    access: EntityAccess
    ref: EntityRef
    reads: list[Read] = field(default_factory=list)
    invalidations: list[Invalidation] = field(default_factory=list)
    written: dict[int, str] = field(default_factory=dict)
    asked: dict[int, str] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)

    @classmethod
    def of(cls, cell: Cell, cached: Cached, tenant: Tenant) -> Stage:
        """A stage with a new entity of the tenant."""
        access = cell.platform.entities(cached.entity)
        return cls.on(cell, cached, access, access.create(tenant))

    @classmethod
    def on(cls, cell: Cell, cached: Cached, access: EntityAccess, ref: EntityRef) -> Stage:
        """A stage with an entity that is there already."""
        stage = cls(cell, cell.platform, cached, access, ref)
        if truth := access.truth(ref):
            stage.written[truth.version] = truth.value
        return stage

    @property
    def cache(self) -> CacheAccess:
        """The cache between the readers and the entity."""
        return self.platform.cache(self.cached.entity)

    def read(self, access: EntityAccess | None = None, *, spelled: str = "") -> Snapshot | None:
        """Reads the entity, on the record.

        Args:
            spelled: another spelling of its id; where it shows nothing, nobody has read anything.
        """
        ref = replace(self.ref, id=spelled or self.ref.id)
        with self.cell.history.operation(f"read {self.cached.entity}", args={"id": ref.id}) as operation:
            began = self._now()
            shown = (access or self.access).read(ref)
            operation.ok(shown)
        if spelled and shown is None:
            return None
        version, value = (shown.version, shown.value) if shown else (GONE, "")
        self.reads.append(Read(threading.current_thread().name, began, self._now(), version, value))
        return shown

    def read_from_the_cache(self) -> None:
        """Reads until the cache would answer; what needs an entry there would prove nothing otherwise."""
        self.read()
        wait_until(lambda: self.cache.entry(self.ref), timeout_s=WAIT_S, describe="the cache to hold what was read")
        self.read()

    def demand_cached_again(self) -> None:
        """The cache that is back is used again."""
        try:
            self.read_from_the_cache()
        except WaitTimeout as error:
            promise = "an outage of the cache that is over leaves no read slower than it was"
            self.fail(Anomaly("PERF", "slow-ever-after", promise, "what is read is cached again", str(error)))

    def update(self, version: int, access: EntityAccess | None = None, *, key: str | None = None) -> Update:
        """Makes that version of the entity, on the record."""
        value = value_of(version)
        arguments = {"id": self.ref.id, "value": value, "key": key}
        with self.cell.history.operation(f"update {self.cached.entity}", args=arguments) as operation:
            self.written[version] = value
            self.asked[version] = f"corr-{uuid4()}"
            update = (access or self.access).update(
                self.ref, value, expected_version=version - 1, key=key, correlation_id=self.asked[version]
            )
            closing = {
                UpdateOutcome.DONE: operation.ok,
                UpdateOutcome.CONFLICT: operation.fail,
                UpdateOutcome.UNKNOWN: operation.info,
            }
            closing[update.outcome](update)
        return update

    def demand_done(
        self, version: int, access: EntityAccess | None = None, *, key: str | None = None, blames: str = CATEGORY
    ) -> None:
        """Makes that version of the entity, which is at the one before, or was when the same was asked for."""
        self.demand_was_done(self.update(version, access, key=key), version, blames=blames)

    def demand_was_done(self, update: Update, version: int, *, blames: str = CATEGORY) -> None:
        """The update to that version was done."""
        if update.outcome is not UpdateOutcome.DONE:
            promise, seen = "a change at the last version is made", update.reason or update.outcome.value
            self.fail(Anomaly(blames, "change-fails", promise, f"version {version}", seen))

    def wait_invalidated(self, version: int, *, removed: bool = False) -> BusMessage:
        """Waits until the event of that version has been consumed, notes when that was seen, and returns it."""
        try:
            event = self.cache.wait_invalidated(self.ref, version, timeout_s=WAIT_S)
        except WaitTimeout as error:
            promise, expected = "whoever keeps the cache right is told of every change, in time", f"within {WAIT_S:g} s"
            self.fail(Anomaly(CATEGORY, "not-invalidated", promise, expected, str(error)))
        self.invalidations.append(Invalidation(version, self._now(), removed))
        if (expected := self.asked.get(version, event.correlation_id)) != event.correlation_id:
            promise = "an event tells the correlation id of the request that it comes from"
            seen = event.correlation_id or "none"
            self.anomalies.append(Anomaly("XSERVICE", "correlation-lost", promise, expected, seen))
        self.cell.history.note(f"version {version} of {self.cached.entity} {self.ref.id} was invalidated")
        return event

    def demand_truth(self, access: EntityAccess | None = None, *, blames: str = CATEGORY) -> None:
        """A read that the cache cannot answer shows what the database holds."""
        promise, truth = "a read that the cache cannot answer shows the truth", self.access.truth(self.ref)
        try:
            shown = self.read(access)
        except PlatformError as error:
            self.fail(Anomaly(blames, "read-fails", promise, str(truth), str(error)))
        if shown != truth:
            self.fail(Anomaly(blames, "not-the-truth", promise, str(truth), str(shown)))

    def judge(self) -> None:
        """Fails the test if a read has shown what it should not."""
        verdict = self._verdict()
        keep_verdict(self.cell.history, verdict, of_scenario=self.anomalies)
        if not verdict:
            pytest.fail(str(verdict), pytrace=False)

    def fail(self, anomaly: Anomaly) -> NoReturn:
        """Fails the test for what the scenario itself has seen."""
        self.anomalies.insert(0, anomaly)
        self.judge()
        raise AssertionError(f"the verdict does not hold {anomaly}")

    def _verdict(self) -> Verdict:
        entity = f"{self.cached.entity} {self.ref.id}"
        seen = CachedReads(
            entity, tuple(self.reads), tuple(self.invalidations), dict(self.written), self.cached.stale_s
        )
        keep(self.cell.history, seen)
        return combine([judged("scenario", self.anomalies), seen.judge()])

    def _now(self) -> float:
        return time.monotonic() - self.cell.history.began
