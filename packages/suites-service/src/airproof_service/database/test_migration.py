from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.capabilities import MigrationControl
from airproof.environment.topology import Role
from airproof.faults.process import killed
from airproof.waiting import wait_until
from airproof_service.stage import WAIT_S, Stage

AT_ONCE = 2


@pytest.fixture
def migration(cell: Cell) -> MigrationControl:
    """The platform's migration, where the provider can run it."""
    if cell.capabilities.migration is None:
        pytest.skip("the provider cannot run the platform's migration")
    return cell.capabilities.migration


@pytest.mark.covers("DB-1", "XS-4")
def test_databases_that_are_up_to_date_can_be_brought_so_again(stage: Stage, migration: MigrationControl) -> None:
    """Whoever brings the databases up to date at a deployment, at once with others, succeeds and disturbs nobody."""
    with ThreadPoolExecutor(1, thread_name_prefix="operator") as operator:
        migrating = operator.submit(migration.run, AT_ONCE)
        while not migrating.done():
            for route in stage.reading:
                stage.demand_served(route, "DBTX")
        for failed in migrating.result():
            promise = "databases that are up to date can be brought up to date again, by several at once"
            expected = f"each of {AT_ONCE} ends with status 0"
            stage.anomalies.append(Anomaly("DBTX", "migrates-once-only", promise, expected, failed))
    for route in stage.routes:
        stage.demand_served(route, "DBTX")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("DB-1", "XS-4")
def test_several_bring_databases_up_to_date_at_once(cell: Cell, migration: MigrationControl) -> None:
    """Of several who bring databases of the first version up to date at once each succeeds, and nothing is missing."""
    before = cell.platform.schema()
    with ThreadPoolExecutor(1, thread_name_prefix="operator") as operator, cell.platform.half_migrated() as block:
        migrating = operator.submit(migration.run, AT_ONCE)
        met = f"{AT_ONCE} migrations to wait for what is just being made, or to have ended"
        wait_until(lambda: block.waiting() >= AT_ONCE or migrating.done(), timeout_s=WAIT_S, describe=met)
        block.release()
        failed = migrating.result()
    if failed:
        promise = "databases can be brought up to date by several at once, whatever is missing in them"
        _fail("one-at-a-time-only", promise, f"each of {AT_ONCE} ends with status 0", failed[0])
    if lacking := sorted(before - cell.platform.schema()):
        promise = "databases that an earlier version has made are brought up to date as new ones are made"
        _fail("not-brought-up-to-date", promise, "all that was there", f"no {', '.join(lacking)}")


@pytest.mark.destructive
@pytest.mark.covers("DB-1", "XS-4")
def test_a_migration_that_breaks_off_is_brought_to_its_end_by_the_next(cell: Cell, migration: MigrationControl) -> None:
    """Wherever a migration of a new database breaks off, the next one makes all that there should be."""
    service, whole = cell.platform.manifest.identity, cell.platform.schema()
    with killed(cell, service), cell.platform.emptied(service):
        made, before, failed = cell.platform.schema(), None, ["not yet run"]
        while failed and made != before:
            with cell.platform.one_step_further(service):
                failed = migration.run(1)
            before, made = made, cell.platform.schema()
        failed, lacking = migration.run(1), sorted(whole - cell.platform.schema())
    if failed or lacking:
        promise = "a migration that breaks off is brought to its end by the next one"
        _fail("left-unfinished", promise, "all that there was", failed[0] if failed else f"no {', '.join(lacking)}")


@pytest.mark.destructive
@pytest.mark.covers("DB-1", "XS-4")
def test_who_cannot_bring_the_databases_up_to_date_is_told(cell: Cell, migration: MigrationControl) -> None:
    """Whoever brings databases up to date that are away is told that it has failed, and deploys nothing on them."""
    with killed(cell, Role.POSTGRES_PRIMARY.value):
        failed = migration.run(1)
    if not failed:
        promise = "whoever brings databases up to date that are away is told that it has failed"
        _fail("fails-in-silence", promise, "a status other than 0", "status 0")


def _fail(name: str, promise: str, expected: str, seen: str) -> NoReturn:
    pytest.fail(str(Anomaly("DBTX", name, promise, expected, seen)), pytrace=False)
