from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations

import pytest

from airproof.checkers.reads import CATEGORY
from airproof.checkers.verdict import Anomaly
from airproof.platform.driver import Tenant
from airproof.platform.observation import Snapshot
from airproof_service.cache.stage import Stage
from airproof_service.stage import WAIT_S

READS = 40


@pytest.mark.covers("CA-3", "DATA-2")
def test_nobody_reads_somebody_elses_entry(stage: Stage) -> None:
    """What is cached for its owner is shown to no colleague and no other tenant, who ask before or after the owner."""
    tenant = stage.ref.tenant
    for other in (Stage.of(stage.cell, stage.cached, one) for one in (tenant, Tenant(tenant.id.upper()))):
        stage.cache.forget(stage.ref)
        for _ in range(2):
            shown = stage.access.read(stage.ref, reader=other.ref)
            if shown:
                promise = "nobody is shown what belongs to somebody else"
                witness = (f"the reader is of {other.ref.tenant.id}, the owner of {tenant.id}",)
                stage.fail(Anomaly(CATEGORY, "read-by-a-stranger", promise, "nothing", str(shown), witness))
            stage.read_from_the_cache()
    stage.judge()


@pytest.mark.covers("CA-1", "DATA-2")
def test_users_of_two_tenants_who_read_at_once_are_shown_what_is_theirs(stage: Stage) -> None:
    """However many users of different tenants read at once, from the cache or past it, nobody is taken for another."""
    theirs = Stage.of(stage.cell, stage.cached, Tenant(stage.ref.tenant.id.upper()))
    with ThreadPoolExecutor(4, thread_name_prefix="reader") as readers:
        seen = [
            (one, user is one, readers.submit(_read_often, one, partial(one.access.read, one.ref, reader=user.ref)))
            for one, other in permutations((stage, theirs))
            for user in (one, other)
        ]
    for one, rightful, shown in seen:
        allowed = {one.access.truth(one.ref)} if rightful else {None}
        if wrong := shown.result(WAIT_S) - allowed:
            promise = "what somebody is shown does not depend on who else reads at the same time"
            who, expected = "its owner" if rightful else "another tenant", str(allowed.pop())
            one.fail(Anomaly("TENANCY", "taken-for-another", promise, expected, f"{who} is shown {wrong.pop()}"))
    stage.judge()


def _read_often(stage: Stage, read: Callable[[], Snapshot | None]) -> set[Snapshot | None]:
    shown = set()
    for number in range(READS):
        if number % 2:
            stage.cache.forget(stage.ref)
        shown.add(read())
    return shown
