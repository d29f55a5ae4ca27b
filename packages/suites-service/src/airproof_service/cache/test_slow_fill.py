from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airproof.cells import Cell
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Cached
from airproof.platform.observation import UpdateOutcome
from airproof.wire import Wire, on, redis
from airproof_service.cache.stage import WAIT_S, Stage, value_of

# Not in the order of their first digits.
BEFORE, AFTER = 9, 10


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CA-3")
@pytest.mark.parametrize("lost", [pytest.param(False, id="kept"), pytest.param(True, id="lost")])
def test_a_slow_fill_does_not_bury_a_newer_write(
    cell: Cell, wire: Wire, cached: Cached, tenant: Tenant, lost: bool
) -> None:
    """A fill that is held until a newer write was committed and invalidated is not read, also if entries got lost."""
    stage = Stage.of(cell, cached, tenant)
    for version in range(2, BEFORE + 1):
        assert stage.update(version).outcome is UpdateOutcome.DONE
    stage.wait_invalidated(BEFORE)
    service = cell.platform.manifest.entity(cached.entity).service
    fill = on(service, cached.node).when(redis.command(containing=[stage.ref.id, value_of(BEFORE)])).times(1)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="slow") as readers,
        applied(cell, fill.after().observe()) as answered,
        applied(cell, fill.hold()) as held,
    ):
        slow = readers.submit(stage.read)
        held.wait_until_held(WAIT_S)
        assert stage.update(AFTER).outcome is UpdateOutcome.DONE
        stage.wait_invalidated(AFTER)
        if lost:
            stage.cache.forget(stage.ref)
        held.release()
        answered.wait_until_fired(WAIT_S)
        slow.result(WAIT_S)
    for _ in range(2):
        stage.read()
    stage.judge()
