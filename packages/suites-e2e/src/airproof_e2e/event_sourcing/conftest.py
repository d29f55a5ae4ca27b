"""Scenarios of streams are made for each kind of entity that the platform's manifest declares."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from airproof.cells import Cell
from airproof.platform.driver import Tenant
from airproof.platform.manifest import Entity
from airproof.plugin import manifest, told_if_stuck
from airproof_e2e.event_sourcing.stream import Stream


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each kind of entity that the platform's manifest declares."""
    if "entity" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        entities = declared.entities if declared else ()
        metafunc.parametrize("entity", [pytest.param(one, id=one.name) for one in entities])


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """What does not go on is told under the name of what the scenarios are about."""
    with told_if_stuck(pyfuncitem, "ES"):
        return (yield)


@pytest.fixture
def stream(cell: Cell, entity: Entity, tenant: Tenant) -> Stream:
    """A new entity of the test's tenant."""
    access = cell.platform.entities(entity.name)
    return Stream(cell, access, access.create(tenant))
