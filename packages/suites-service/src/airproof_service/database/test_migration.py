from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airproof.checkers.verdict import Anomaly
from airproof_service.stage import Stage

AT_ONCE = 2


@pytest.mark.covers("DB-1", "XS-4")
def test_databases_that_are_up_to_date_can_be_brought_so_again(stage: Stage) -> None:
    """Whoever brings the databases up to date at a deployment, at once with others, succeeds and disturbs nobody."""
    migration = stage.cell.capabilities.migration
    if migration is None:
        pytest.skip("the provider cannot run the platform's migration")
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
