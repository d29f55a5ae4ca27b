"""What scenarios of services share: what is asked for, and what colleagues may ask about."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess
from airproof.platform.manifest import Access, Route
from airproof.plugin import told_if_stuck
from airproof_service.stage import Stage

_CATEGORIES = {"gateway": "GATEWAY", "cross_service": "XSERVICE", "database": "DBTX", "cache": "CACHE"}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """What does not go on is told under the name of what the scenarios of its folder are about."""
    with told_if_stuck(pyfuncitem, _CATEGORIES[pyfuncitem.path.parent.name]):
        return (yield)


@pytest.fixture
def stage(cell: Cell, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant, which everybody asks for."""
    return Stage.of(cell, tenant)


@pytest.fixture
def routes(cell: Cell) -> list[Route]:
    """What users may ask about their colleagues."""
    found = [route for route in cell.platform.manifest.routes if route.access is Access.TENANT]
    return found or pytest.skip("the manifest declares no routes for colleagues")


@pytest.fixture
def entities(cell: Cell, routes: list[Route]) -> EntityAccess:
    """What the routes are about."""
    return cell.platform.entities(routes[0].entity)
