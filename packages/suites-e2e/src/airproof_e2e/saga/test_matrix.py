from __future__ import annotations

import pytest

from airproof.cells import Cell
from airproof.checkers.verdict import stuck
from airproof.environment.topology import CellKind
from airproof.errors import FaultNotObserved, PlatformError, WaitTimeout
from airproof.platform.driver import Driver, Platform, Tenant
from airproof.plugin import manifest
from airproof_e2e.saga.judging import judge
from airproof_e2e.saga.matrix import Scenario, make_scenarios, predicted_count
from airproof_e2e.saga.stage import Stage


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each scenario that the platform's manifest allows."""
    if "scenario" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        scenarios = make_scenarios(declared) if declared else ()
        metafunc.parametrize("scenario", [_parameter(scenario) for scenario in scenarios])


def _parameter(scenario: Scenario) -> object:
    marks = [pytest.mark.promise(scenario.promise), pytest.mark.covers(*scenario.family.covers)]
    if scenario.family.cell is not CellKind.PLAIN:
        marks.append(getattr(pytest.mark, scenario.family.cell.name.lower()))
    if scenario.family.smoke:
        marks.append(pytest.mark.smoke)
    return pytest.param(scenario, id=scenario.id, marks=marks)


@pytest.mark.destructive
def test_saga(scenario: Scenario, cell: Cell, platform: Platform, tenant: Tenant) -> None:
    """A saga is complete or nothing at every participant, and says honestly which, whatever breaks."""
    family = scenario.family
    stage = Stage(cell, platform, tenant, scenario.saga, scenario.subject, family.undoing, family.tests)
    anomaly = unobserved = None
    try:
        family.act(stage)
    except (WaitTimeout, PlatformError) as error:
        anomaly = stuck(family.tests, scenario.promise, error)
    except FaultNotObserved as error:
        unobserved = error
    # What is found broken says more than a fault that was not reached, and may be why.
    judge(stage, scenario.promise, anomaly)
    if unobserved:
        raise unobserved


def test_matrix_is_complete(driver: Driver, request: pytest.FixtureRequest) -> None:
    """As many scenarios are run as the formula over the manifest predicts."""
    predicted = predicted_count(driver.manifest)
    assert len({scenario.id for scenario in make_scenarios(driver.manifest)}) == predicted
    collected = [item for item in request.session.items if item.name.startswith(f"{test_saga.__name__}[")]
    if len(collected) < predicted and _selected(request.config):
        pytest.skip(f"only {len(collected)} of {predicted} scenarios were selected")
    assert len(collected) == predicted


def _selected(config: pytest.Config) -> bool:
    """Whether the user asked for a part only."""
    option = config.option
    return bool(option.keyword or option.markexpr or option.deselect or any("::" in given for given in config.args))
