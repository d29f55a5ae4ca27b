from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from airproof.cells import Cell
from airproof.environment.topology import Role
from airproof.faults.wire import applied
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Cached
from airproof.wire import Wire, on, postgres, redis
from airproof.wire.holding import outcome_of
from airproof_service.cache.stage import Stage, value_of
from airproof_service.stage import WAIT_S

# Not in the order of their first digits.
BEFORE, AFTER = 9, 10
OVERTAKES_S = 0.5


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CA-3")
@pytest.mark.parametrize("lost", [pytest.param(False, id="kept"), pytest.param(True, id="lost")])
def test_a_slow_fill_does_not_bury_a_newer_write(
    cell: Cell, wire: Wire, cached: Cached, tenant: Tenant, lost: bool
) -> None:
    """A fill that is held until a newer write was invalidated is not read, also if entries or the order got lost."""
    stage = Stage.of(cell, cached, tenant)
    for version in range(2, BEFORE + 1):
        stage.demand_done(version)
    event = stage.wait_invalidated(BEFORE)
    service = cell.platform.manifest.entity(cached.entity).service
    # One that writes through holds it already, and a read fills nothing.
    stage.cache.forget(stage.ref)
    fill = on(service, cached.node).when(redis.command(containing=[stage.ref.id, value_of(BEFORE)])).times(1)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="slow") as readers,
        applied(cell, fill.after().observe()) as answered,
        applied(cell, fill.hold()) as held,
    ):
        slow = readers.submit(stage.read)
        held.wait_until_held(WAIT_S)
        stage.demand_done(AFTER)
        stage.wait_invalidated(AFTER)
        if lost:
            stage.cache.forget(stage.ref)
        else:
            stage.cache.invalidate_again(event, timeout_s=WAIT_S)
        held.release()
        answered.wait_until_fired(WAIT_S)
        slow.result(WAIT_S)
    for _ in range(2):
        stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CA-3")
def test_a_slow_load_is_not_shown_to_who_reads_later(stage: Stage, wire: Wire) -> None:
    """What a read has loaded before a newer write was invalidated is shown to nobody who reads after that."""
    del wire
    with ThreadPoolExecutor(1, thread_name_prefix="late") as readers:
        with _overtaken(stage):
            late = readers.submit(stage.read)
            # Who waits for the held load instead is caught by what they are shown then.
            wait([late], OVERTAKES_S)
        late.result(WAIT_S)
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CA-3")
@pytest.mark.parametrize("again", [pytest.param(False, id="forgotten"), pytest.param(True, id="asked-again")])
def test_a_slow_load_is_not_kept_where_the_cache_has_forgotten(stage: Stage, wire: Wire, again: bool) -> None:
    """What a read has loaded before a newer write is not kept if the cache has forgotten, also if asked again since."""
    del wire
    with _overtaken(stage) as let_go:
        stage.cache.forget(stage.ref)
        if again:
            with _loading(stage):
                let_go()
                stage.read()
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CA-3")
def test_what_is_told_of_a_change_late_is_not_read_any_more(stage: Stage, wire: Wire) -> None:
    """Whatever the cache is told of a change after a newer one, late or because it is asked for again, nobody reads."""
    del wire
    key, told = f"key-{stage.ref.id}", redis.command(containing=[stage.ref.id, value_of(2)])
    late = on(stage.access.entity.service, stage.cached.node).when(told).times(1).hold().preventable()
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer, applied(stage.cell, late) as held:
        updating = writer.submit(stage.demand_done, 2, key=key)
        outcome_of(held, lambda: False, updating.done, WAIT_S)
        stage.demand_done(3)
        stage.wait_invalidated(3)
        stage.read_from_the_cache()
        held.release()
        updating.result(WAIT_S)
    stage.read()
    for _ in range(2):
        stage.demand_done(2, key=key)
        stage.read()
        stage.cache.forget(stage.ref)
    stage.judge()


@contextmanager
def _overtaken(stage: Stage) -> Iterator[Callable[[], None]]:
    """A read has loaded what a newer write has changed since, and is held with it until it is let go, or the end."""
    with _loading(stage) as let_go:
        stage.demand_done(2)
        stage.wait_invalidated(2)
        yield let_go


@contextmanager
def _loading(stage: Stage) -> Iterator[Callable[[], None]]:
    """A read has loaded what there is now, and is held with it until it is let go, or the end."""
    service = stage.access.entity.service
    load = on(service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stage.ref.id)).times(1).after()
    with ThreadPoolExecutor(1, thread_name_prefix="early") as readers, applied(stage.cell, load.hold()) as held:
        reading = readers.submit(stage.read)

        def let_go() -> None:
            held.release()
            reading.result(WAIT_S)

        held.wait_until_held(WAIT_S)
        yield let_go
        let_go()
