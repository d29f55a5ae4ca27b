from __future__ import annotations

from contextlib import suppress

import pytest

from airproof.checkers.reads import CATEGORY
from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import PlatformError, WaitTimeout
from airproof.faults.process import killed
from airproof.faults.wire import applied
from airproof.platform.entities import EntityAccess
from airproof.wire import Wire, established, on, opened, postgres, redis
from airproof_service.cache.stage import Stage, value_of
from airproof_service.stage import FULL, WAIT_S, replica_held

REFUSALS, HITS = 4, 3
TAKEN_FOR_DONE_S = 1.0


@pytest.mark.destructive
@pytest.mark.covers("CA-1", "CA-3")
def test_a_cache_that_refuses_is_as_good_as_none(stage: Stage, wire: Wire) -> None:
    """While the cache refuses, reads are right and changes done; nothing is stale after, were its service killed."""
    del wire
    stage.read_from_the_cache()
    asked = on(stage.access.entity.service, stage.cached.node).when(redis.command(containing=[stage.ref.id]))
    with applied(stage.cell, asked.respond(error=FULL)) as refused:
        stage.demand_truth()
        before = refused.fired
        stage.demand_done(2, blames="XSERVICE")
        # An invalidation that is given up sooner is found out by the read in the end.
        with suppress(WaitTimeout):
            refused.wait_until_fired(WAIT_S, before + REFUSALS)
        stage.demand_truth()
        # Who keeps what it owes the cache in mind only may take it for done.
        with suppress(WaitTimeout):
            stage.cache.wait_invalidated(stage.ref, 2, timeout_s=TAKEN_FOR_DONE_S)
        with killed(stage.cell, stage.access.entity.service):
            pass
    stage.wait_invalidated(2)
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-1")
def test_what_cannot_be_cached_is_read_all_the_same(stage: Stage, wire: Wire) -> None:
    """A read shows the truth though the cache, which has just said that it knows nothing of it, does not take it."""
    del wire
    stage.demand_done(2)
    stage.wait_invalidated(2)
    kept = redis.command(containing=[stage.ref.id, value_of(2)])
    keeping = on(stage.access.entity.service, stage.cached.node).when(kept)
    for failing in (keeping.respond(error=FULL), keeping.reset()):
        stage.cache.forget(stage.ref)
        with applied(stage.cell, failing):
            stage.demand_truth(blames="XSERVICE")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-1", "XS-3", "XS-4")
def test_what_is_cached_is_read_without_the_database(stage: Stage, wire: Wire) -> None:
    """A read that the cache can answer asks no database, however often it is made, and needs no connection to one."""
    del wire
    stage.read_from_the_cache()
    link = on(stage.access.entity.service, "postgres-*")
    asked = link.when(postgres.query(containing=stage.ref.id))
    with applied(stage.cell, asked.observe().preventable()) as passed:
        for _ in range(HITS):
            stage.read()
    # A read whose cache is slow for once may ask the database.
    if passed.fired >= HITS:
        promise, seen = "what is cached is read without the database", f"{passed.fired} queries in {HITS} reads"
        stage.fail(Anomaly("PERF", "asked-all-the-same", promise, "no query", seen))
    # What the gateway asks of others first may need theirs.
    behind = stage.access.behind_the_gateway()
    gone, refused = link.when(established()).reset(), link.when(opened()).refuse()
    with applied(stage.cell, refused.preventable()), applied(stage.cell, gone):
        _demand_read(stage, behind)
    stage.read()
    stage.judge()


def _demand_read(stage: Stage, access: EntityAccess) -> None:
    try:
        for _ in range(HITS):
            stage.read(access)
    except PlatformError as error:
        promise, seen = "what is cached is read while the database cannot be reached", str(error)
        stage.fail(Anomaly(CATEGORY, "needs-the-database", promise, "what is cached", seen))


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "XS-4")
def test_without_the_database_nobody_is_shown_what_was_before(stage: Stage, wire: Wire) -> None:
    """While a database breaks off what it is asked, and its copy lags, a read shows nothing invalidated, or fails."""
    del wire
    stage.read_from_the_cache()
    asked = on(stage.access.entity.service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stage.ref.id))
    with replica_held(stage.cell, stage.access):
        stage.demand_done(2)
        stage.wait_invalidated(2)
        with applied(stage.cell, asked.reset().preventable()):
            for _ in range(2):
                with suppress(PlatformError):
                    stage.read()
    stage.read()
    stage.judge()
