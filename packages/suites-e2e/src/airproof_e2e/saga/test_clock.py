from __future__ import annotations

from functools import partial

import pytest

from airproof.cells import Cell
from airproof.faults.clock import can_shift, shifted_clock
from airproof.platform.driver import Driver, Platform, Tenant
from airproof.platform.observation import MessageKind
from airproof_e2e.saga.judging import judge
from airproof_e2e.saga.moments import asked_to_do, undoable
from airproof_e2e.saga.stage import COMPENSATED, Stage

LATER_S = 3600.0


@pytest.mark.destructive
@pytest.mark.covers("SAGA-1")
def test_deadline_is_kept_by_the_orchestrators_clock(
    cell: Cell, platform: Platform, tenant: Tenant, driver: Driver
) -> None:
    """A saga whose deadline has passed by the orchestrator's clock is undone."""
    if not can_shift(cell):
        pytest.skip(f"the driver of {driver.manifest.name} offers no control over clocks")
    saga = driver.manifest.sagas[0]
    stage = Stage(cell, platform, tenant, saga, undoable(saga)[-1])
    start = partial(stage.start, deadline_s=LATER_S, ends=COMPENSATED)
    with asked_to_do(stage, start) as (saga_id, _), shifted_clock(cell, saga.orchestrator, LATER_S):
        stage.wait_for(saga_id, (MessageKind.EVENT, saga.failed))
    judge(stage, "a saga whose deadline has passed is undone")
