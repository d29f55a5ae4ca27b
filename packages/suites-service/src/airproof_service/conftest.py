"""What scenarios of services share: what is asked for, and what colleagues may ask about."""

from __future__ import annotations

import inspect
from collections.abc import Generator

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import stuck
from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityAccess
from airproof.platform.manifest import Access, Route
from airproof_service.stage import Stage

_CATEGORIES = {"gateway": "GATEWAY", "cross_service": "XSERVICE", "database": "DBTX", "cache": "CACHE"}


def _promise(test: pytest.Function) -> str:
    return (inspect.getdoc(test.function) or "").partition("\n")[0]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """What does not go on is told under the name of what the scenarios of its folder are about."""
    try:
        return (yield)
    except (WaitTimeout, PlatformError) as error:
        category = _CATEGORIES[pyfuncitem.path.parent.name]
        pytest.fail(str(stuck(category, _promise(pyfuncitem), error)), pytrace=False)


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
