"""Scenarios of caches are made for each cache that the platform's manifest declares."""

from __future__ import annotations

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Cached
from airproof.plugin import manifest
from airproof_service.cache.stage import Stage


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each cache that the platform's manifest declares."""
    if "cached" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        caches = declared.caches if declared else ()
        metafunc.parametrize("cached", [pytest.param(one, id=one.entity) for one in caches])


@pytest.fixture
def stage(cell: Cell, cached: Cached, tenant: Tenant) -> Stage:
    """A new entity of the test's tenant, and the record of its reads."""
    return Stage.of(cell, cached, tenant)
