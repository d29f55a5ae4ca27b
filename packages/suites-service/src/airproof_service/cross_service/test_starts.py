from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from graphlib import TopologicalSorter

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import Anomaly
from airproof.environment.capabilities import Lack, ProcessStatus
from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed
from airproof.faults.process import NodeFault, killed, lacking
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Manifest
from airproof_service.stage import Stage

ASKED_LATER = (Role.REDIS, Role.SMTP)
"""What nobody needs before a user asks for something."""


@pytest.mark.destructive
@pytest.mark.covers("XS-3", "XS-4")
def test_services_start_before_what_they_ask(cell: Cell, tenant: Tenant) -> None:
    """After all was down each service starts, also before those that it asks, before Redis and the mail server."""
    with ExitStack() as stack:
        down = {one.name: stack.enter_context(killed(cell, one.name)) for one in cell.platform.manifest.services}
        for role in ASKED_LATER:
            stack.enter_context(killed(cell, role.value))
        with ThreadPoolExecutor(len(down), thread_name_prefix="start") as starters:
            for together in _callers_first(cell.platform.manifest):
                if failed := list(filter(None, starters.map(_starts, [down[name] for name in together]))):
                    promise = "in whatever order services and what they ask come up, all come up"
                    _fail("XSERVICE", "does-not-start", promise, "each is ready", failed)
    stage = Stage.of(cell, tenant)
    for route in stage.reading:
        stage.demand_served(route, "XSERVICE")
    stage.judge()


@pytest.mark.destructive
@pytest.mark.covers("XS-4", "SEC-1")
def test_a_service_does_not_run_without_what_keeps_strangers_out(cell: Cell) -> None:
    """A service that is not told a secret, or an empty one, by which it knows who may ask it does not run."""
    names = [one.name for one in cell.platform.manifest.services]
    if not cell.platform.manifest.secrets:
        pytest.skip("the manifest names no secrets")
    lacks = [Lack(secret, blank) for secret in cell.platform.manifest.secrets for blank in (False, True)]
    with ThreadPoolExecutor(len(names), thread_name_prefix="start") as starters:
        run = [*filter(None, starters.map(lambda name: _runs_without(cell, name, lacks), names))]
    if run:
        promise = "a service does not run without what keeps strangers out"
        _fail("SECURITY", "runs-unprotected", promise, "it exits with a status that says so", run)


def _runs_without(cell: Cell, name: str, lacks: list[Lack]) -> str:
    """What it does without one of them; empty if it exits and says that something is wrong."""
    for lack in lacks:
        with lacking(cell, name, lack) as fault:
            if fault.state.status is not ProcessStatus.EXITED or not fault.state.exit_code:
                return f"{name} with {lack} is {fault.state.status.value}"
    return ""


def _callers_first(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    """The services in groups: whoever is asked by others comes after all of them."""
    names = {one.name for one in manifest.services}
    order = TopologicalSorter({name: set[str]() for name in names})
    for one in manifest.services:
        for called in names.intersection(one.calls):
            order.add(called, one.name)
    order.prepare()
    while order:
        yield (together := order.get_ready())
        order.done(*together)


def _starts(down: NodeFault) -> str:
    """Why it does not; empty if it does."""
    try:
        down.heal()
    except FaultNotHealed as error:
        return str(error)
    return ""


def _fail(category: str, name: str, promise: str, expected: str, seen: list[str]) -> None:
    pytest.fail(str(Anomaly(category, name, promise, expected, "; ".join(seen))), pytrace=False)
