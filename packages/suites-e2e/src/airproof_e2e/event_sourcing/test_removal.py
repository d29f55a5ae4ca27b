"""What becomes of an entity when the saga that made it is undone, whatever its user does meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.driver import EffectBlock, Tenant
from airproof.platform.manifest import Entity
from airproof.platform.observation import UpdateOutcome
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, Wire, on, postgres
from airproof_e2e.event_sourcing.stream import FIRST, WAIT_S, Stream

LOOK_AGAIN_S = 0.01
DEADLOCK_TIMEOUT_S = 1.2


@pytest.mark.covers("ES-1", "SAGA-1")
def test_what_was_updated_meanwhile_is_undone_too(cell: Cell, entity: Entity, tenant: Tenant) -> None:
    """An entity that its user has updated is removed like any other when the saga that made it is undone."""
    access = cell.platform.entities(entity.name)
    with access.passing(tenant) as ref:
        stream = Stream(cell, access, ref)
        stream.demand(UpdateOutcome.DONE, stream.update("while it lasts", FIRST))
    stream.judge(removed=entity.removed)


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "SAGA-1")
def test_an_update_that_meets_the_removal_comes_first(cell: Cell, entity: Entity, tenant: Tenant) -> None:
    """An entity is being updated when the saga that made it undoes that: both are done, one after the other."""
    access = cell.platform.entities(entity.name)
    with ThreadPoolExecutor(2, thread_name_prefix="writer") as writers, ExitStack() as held:
        with access.passing(tenant) as ref:
            stream = Stream(cell, access, ref)
            block = held.enter_context(access.hold_updates())
            updating = writers.submit(stream.update, "at the last moment", FIRST)
            block.wait_blocked(timeout_s=WAIT_S)
            meeting = writers.submit(_release_when_two_wait, block)
        meeting.result(WAIT_S)
        stream.demand(UpdateOutcome.DONE, updating.result(WAIT_S))
    stream.judge(removed=entity.removed)


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "SAGA-1")
def test_an_update_and_the_removal_do_not_block_each_other(
    cell: Cell, entity: Entity, tenant: Tenant, wire: Wire
) -> None:
    """The removal comes when an update is between its writes: the update is done, and no deadlock breaks it off."""
    access, value = cell.platform.entities(entity.name), "half done"
    link = on(entity.service, Role.POSTGRES_PRIMARY.value)
    with ThreadPoolExecutor(2, thread_name_prefix="writer") as writers, ExitStack() as rules:
        with access.passing(tenant) as ref:
            stream = Stream(cell, access, ref)
            second_write = link.when(postgres.statement(containing=[ref.id, value])).nth(2).hold()
            removal = link.when(postgres.statement(containing=[ref.id, entity.removed])).times(1).observe()
            held, seen = (rules.enter_context(applied(cell, rule)) for rule in (second_write, removal))
            updating = writers.submit(stream.update, value, FIRST)
            held.wait_until_held(WAIT_S)
            meeting = writers.submit(_release_when_deadlocks_are_looked_for, held, seen)
        meeting.result(WAIT_S)
        update = updating.result(WAIT_S)
        if update.outcome is not UpdateOutcome.DONE:
            promise, met = "an update and the removal do not block each other", update.reason or update.outcome.value
            stream.anomalies.append(Anomaly("DBTX", "deadlock", promise, "an update that is done", met))
    stream.judge(removed=entity.removed)


def _release_when_deadlocks_are_looked_for(held: AppliedRule, removal: AppliedRule) -> None:
    """Later than who waits now looks for a deadlock, so that the next to look would be the update."""
    removal.wait_until_fired(WAIT_S)
    later = time.monotonic() + DEADLOCK_TIMEOUT_S
    wait_until(lambda: time.monotonic() > later, timeout_s=WAIT_S, describe="PostgreSQL to look for deadlocks")
    held.release()


def _release_when_two_wait(block: EffectBlock) -> None:
    met = "the removal to wait for the update"
    wait_until(lambda: block.waiting() > 1, timeout_s=WAIT_S, describe=met, longest_interval_s=LOOK_AGAIN_S)
    block.release()
