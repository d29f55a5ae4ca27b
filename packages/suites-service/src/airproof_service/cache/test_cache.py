from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.checkers.reads import CATEGORY
from airproof.checkers.verdict import Anomaly
from airproof.errors import FaultNotHealed
from airproof.faults.process import killed, suspended
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Cached
from airproof.platform.observation import UpdateOutcome
from airproof_service.cache.stage import Stage
from airproof_service.stage import WAIT_S, replica_held

READERS, UPDATES = 4, 6
LAST_VERSION = 11
MISSES, HITS = 25, 10
SLOWEST_READ_S = 5.0


@pytest.mark.smoke
@pytest.mark.covers("CA-2", "CA-3")
def test_a_read_is_fresh_once_the_invalidation_was_consumed(stage: Stage) -> None:
    """A read after a change shows the change as soon as its event has been consumed, whatever was cached before."""
    for version in range(2, LAST_VERSION + 1):
        stage.read_from_the_cache()
        stage.demand_done(version)
        stage.wait_invalidated(version)
        stage.read()
    stage.judge()


@pytest.mark.covers("CA-2", "CA-3")
def test_a_read_is_fresh_however_its_id_is_spelled(stage: Stage) -> None:
    """Whoever spells an id in another way is shown the same thing, as fresh, or nothing at all."""
    own = stage.ref.id
    for version in range(2, 4):
        for spelled in (own.upper(), own.lower(), own.replace("-", "")):
            for _ in range(2):
                stage.read(spelled=spelled)
        stage.read_from_the_cache()
        stage.demand_done(version)
        stage.wait_invalidated(version)
        for spelled in (own, own.upper(), own.lower(), own.replace("-", "")):
            stage.read(spelled=spelled)
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-3")
def test_a_read_during_a_change_leaves_nothing_stale_behind(stage: Stage) -> None:
    """What a reader caches while a change is written and not yet committed does not outlive the change."""
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
        with stage.access.hold_updates() as block:
            updating = writer.submit(stage.update, 2)
            block.wait_blocked(timeout_s=WAIT_S)
            stage.read_from_the_cache()
        stage.demand_was_done(updating.result(WAIT_S), 2)
    stage.wait_invalidated(2)
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-3")
def test_a_change_that_was_rolled_back_is_never_read(stage: Stage) -> None:
    """A change whose transaction was broken off is not read by anybody, from the cache or past it."""
    stage.cache.forget(stage.ref)
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
        with stage.access.hold_updates() as block:
            updating = writer.submit(stage.update, 2)
            block.wait_blocked(timeout_s=WAIT_S)
            stage.read()
            block.break_off()
            if (told := updating.result(WAIT_S)).outcome is not UpdateOutcome.UNKNOWN:
                promise = "a change whose transaction was broken off is not told as done"
                stage.anomalies.append(Anomaly("UOW", "wrong-outcome", promise, "that nothing is known", str(told)))
        del stage.written[2]
    stage.read()
    stage.cache.forget(stage.ref)
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-3")
def test_what_was_removed_is_not_read_any_more(cell: Cell, cached: Cached, tenant: Tenant) -> None:
    """A read of what was removed shows nothing as soon as the event of the removal has been consumed."""
    access = cell.platform.entities(cached.entity).behind_the_gateway()
    with access.passing(tenant) as ref:
        stage = Stage.on(cell, cached, access, ref)
        stage.read_from_the_cache()
    stage.wait_invalidated(2, removed=True)
    stage.read()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-3")
def test_what_was_not_there_is_read_once_it_is_made(cell: Cell, cached: Cached, tenant: Tenant) -> None:
    """Who asked for something before it was made is shown it as soon as it is."""
    access = cell.platform.entities(cached.entity).behind_the_gateway()
    with access.coming(tenant) as ref:
        stage = Stage.on(cell, cached, access, ref)
        for _ in range(2):
            if shown := stage.read():
                _fail(stage, "read-too-early", "nothing is read before it is committed", "nothing", str(shown))
    stage.written = Stage.on(cell, cached, access, ref).written
    stage.demand_truth(access)
    stage.judge()


@pytest.mark.covers("CA-1")
def test_an_entry_that_cannot_be_read_is_as_good_as_none(stage: Stage) -> None:
    """What another version of the service has left in the cache, in a form of its own or in none, disturbs nobody."""
    stage.read_from_the_cache()
    for entry in stage.cache.spoils(stage.ref):
        stage.cell.history.note("the entry was made another one", body=entry)
        for found in (False, True):
            with _counted(stage, found=found):
                stage.demand_truth()
    stage.read_from_the_cache()
    stage.judge()


@contextmanager
def _counted(stage: Stage, *, found: bool) -> Iterator[None]:
    """Operators see in the metrics that one read is answered from the cache, or is not; an anomaly is noted."""
    service, told = stage.access.entity.service, stage.platform.requests.looked_up
    before = [told(service, found=one) for one in (True, False)]
    yield
    more = [told(service, found=one) - was for one, was in zip((True, False), before, strict=True)]
    if more != [found, not found]:
        promise = "a read is counted as answered from a cache if it was, and only then"
        expected, seen = (f"{hits:g} answered from it, {others:g} not" for hits, others in ([found, not found], more))
        stage.anomalies.append(Anomaly("PERF", "counted-wrong", promise, expected, seen))


@pytest.mark.covers("CA-3")
def test_an_entry_goes_away_by_itself(stage: Stage) -> None:
    """What is cached stays for a while and goes away in time however often it is read: no invalidation is lost."""
    missing = replace(stage.ref, id=str(uuid4()))
    nothing, looked = stage.access.read(missing), stage.cache.expires_in(missing)
    if nothing or looked > stage.cached.longest_s:
        promise, expected = "what was looked for in vain leaves nothing behind", f"at most {stage.cached.longest_s:g} s"
        seen = f"{nothing or 'nothing'}, for {looked:.3f} s"
        stage.fail(Anomaly("PERF", "miss-stays", promise, expected, seen))
    stage.read_from_the_cache()
    before, began = stage.cache.expires_in(stage.ref), time.monotonic()
    for _ in range(HITS):
        stage.read()
    took, after = time.monotonic() - began, stage.cache.expires_in(stage.ref)
    stage.demand_done(2)
    stage.wait_invalidated(2)
    changed = stage.cache.expires_in(stage.ref)
    if before < stage.cached.shortest_s:
        promise, expected = "what is cached stays for a while", f"at least {stage.cached.shortest_s:g} s"
        stage.fail(Anomaly("PERF", "entry-goes", promise, expected, f"{before:.3f} s"))
    if max(before, after, changed) > stage.cached.longest_s or before - after < took / 2:
        promise, expected = "what is cached goes away in time", f"at most {stage.cached.longest_s:g} s, less with time"
        seen = f"{before:.3f} s, {after:.3f} s after reads of {took:.3f} s, {changed:.3f} s after a change"
        _fail(stage, "entry-stays", promise, expected, seen)
    stage.judge()


@pytest.mark.covers("CA-1")
def test_reads_past_the_cache_use_nothing_up(stage: Stage) -> None:
    """Of many reads in a row that the cache cannot answer each is answered, the last like the first."""
    for _ in range(MISSES):
        stage.cache.forget(stage.ref)
        stage.demand_truth()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-2", "CQRS-1")
def test_a_copy_of_the_database_that_lags_makes_no_read_stale(stage: Stage) -> None:
    """A read after a change shows the change although the database's read replica does not know of it yet."""
    with replica_held(stage.cell, stage.access):
        for version in range(2, 4):
            stage.demand_done(version)
            stage.wait_invalidated(version)
            stage.demand_truth(blames="DBTX")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-1")
def test_without_the_cache_reads_are_right(stage: Stage) -> None:
    """While the cache is down, reads, changes, starts, whatever the service does go on, and nothing is stale after."""
    behind = stage.access.behind_the_gateway()
    for version, restarted in ((2, False), (3, True)):
        stage.read_from_the_cache()
        with killed(stage.cell, stage.cached.node):
            stage.demand_truth(behind)
            stage.demand_done(version, behind, blames="XSERVICE")
            stage.demand_truth(behind)
            stage.access.create(stage.ref.tenant)
            if restarted:
                _demand_start(stage)
            _demand_ready(stage)
            stage.demand_truth(behind)
        stage.wait_invalidated(version)
        stage.demand_cached_again()
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("CA-1", "CA-3")
def test_a_cache_that_hangs_delays_reads_and_loses_no_invalidation(stage: Stage) -> None:
    """While the cache says nothing, reads are answered soon all the same; what it held is not stale when it is back."""
    behind = stage.access.behind_the_gateway()
    stage.read_from_the_cache()
    with suspended(stage.cell, stage.cached.node):
        stage.demand_truth(behind)
        stage.demand_done(2, behind, blames="XSERVICE")
        stage.demand_truth(behind)
        stage.access.create(stage.ref.tenant)
    stage.wait_invalidated(2)
    stage.demand_cached_again()
    slow = [read for read in stage.reads if read.ended - read.began > SLOWEST_READ_S]
    if slow:
        expected = f"at most {SLOWEST_READ_S:g} s"
        _fail(stage, "read-hangs", "a read does not wait for a cache that hangs", expected, str(slow[0]))
    stage.judge()


@pytest.mark.covers("CA-2")
def test_many_readers_see_one_writer_go_forward(stage: Stage) -> None:
    """However many read while somebody writes and entries are lost, nobody sees a version older than the one before."""
    done = threading.Event()

    def follow() -> None:
        while not done.is_set():
            stage.read()

    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as readers:
        following = [readers.submit(follow) for _ in range(READERS)]
        try:
            for version in range(2, 2 + UPDATES):
                stage.demand_done(version)
                if version % 2:
                    stage.cache.forget(stage.ref)
                stage.wait_invalidated(version)
                stage.read()
        finally:
            done.set()
        for one in following:
            one.result(WAIT_S)
    stage.judge()


def _demand_start(stage: Stage) -> None:
    try:
        with killed(stage.cell, stage.access.entity.service):
            pass
    except FaultNotHealed as error:
        promise = "a service starts without its cache, for it can do without"
        _fail(stage, "does-not-start", promise, "it is ready", str(error))


def _demand_ready(stage: Stage) -> None:
    service = stage.platform.manifest.service(stage.access.entity.service)
    said = [stage.platform.requests.probe(service.name, path) for path in (service.health_path, service.ready_path)]
    if said != [200, 200]:
        promise = "a service whose cache is away is alive and ready, for it can do without"
        _fail(stage, "not-ready", promise, "200 and 200", " and ".join(map(str, said)))


def _fail(stage: Stage, name: str, promise: str, expected: str, seen: str) -> NoReturn:
    stage.fail(Anomaly(CATEGORY, name, promise, expected, seen))
