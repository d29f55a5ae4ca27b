"""Scenarios of streams are made for each kind of entity that the platform's manifest declares."""

from __future__ import annotations

import inspect
from collections.abc import Generator

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import stuck
from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Entity
from airproof.plugin import manifest
from airproof_e2e.event_sourcing.stream import Stream


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each kind of entity that the platform's manifest declares."""
    if "entity" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        entities = declared.entities if declared else ()
        metafunc.parametrize("entity", [pytest.param(one, id=one.name) for one in entities])


def _promise(test: pytest.Function) -> str:
    return (inspect.getdoc(test.function) or "").partition("\n")[0]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """What does not go on is told under the name of what the scenarios are about."""
    try:
        return (yield)
    except (WaitTimeout, PlatformError) as error:
        pytest.fail(str(stuck("ES", _promise(pyfuncitem), error)), pytrace=False)


@pytest.fixture
def stream(cell: Cell, entity: Entity, tenant: Tenant) -> Stream:
    """A new entity of the test's tenant."""
    access = cell.platform.entities(entity.name)
    return Stream(cell, access, access.create(tenant))
