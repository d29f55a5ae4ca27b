from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airproof.platform.manifest import Access, Route
from airproof_service.stage import Stage

LOGINS, SHARE = 3, 0.5
"""Of a login's time, how much an answer that does not wait for it takes at most. Of some logins one that shows it will
do: any answer may be slow."""


@pytest.mark.covers("XS-3", "GW-2")
def test_nobody_waits_while_a_password_is_checked(stage: Stage) -> None:
    """While a password is checked, which is meant to take long, whoever is logged in already is served."""
    stage.cell.platform.sessions.slow_to_check(stage.about)
    for route in (one for one in stage.reading if one.access is Access.SELF):
        stage.demand_served(route)
        times = [_times_s(stage, route) for _ in range(LOGINS)]
        promise, expected = "a login keeps nobody else waiting", f"answers in less than {SHARE:g} of a login's time"
        seen = ", ".join(f"{longest * 1000:.0f} of {login * 1000:.0f} ms" for longest, login in times)
        free = any(longest < SHARE * login for longest, login in times)
        stage.demand(free, "PERF", "logins-in-the-way", promise, expected, seen, stage.rightful(route))
    stage.judge()


def _times_s(stage: Stage, route: Route) -> tuple[float, float]:
    """How long the slowest answer takes while somebody logs in, and how long that takes."""
    longest, began = 0.0, time.perf_counter()
    with ThreadPoolExecutor(1, thread_name_prefix="user") as users:
        login = users.submit(stage.cell.platform.sessions.log_in, stage.about)
        while not login.done():
            asked = time.perf_counter()
            stage.demand_served(route)
            longest = max(longest, time.perf_counter() - asked)
        took_s = time.perf_counter() - began
        promise, let_in = "whoever has an account gets in", login.result() is not None
        stage.demand(let_in, "SECURITY", "not-let-in", promise, "a login", "none", stage.rightful(route))
    return longest, took_s
