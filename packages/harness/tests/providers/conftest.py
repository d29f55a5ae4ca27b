"""The toy platform, the environment it runs in, and every registered provider."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from airproof.environment.model import Environment, Timeouts
from airproof.platform.driver import Driver
from airproof.providers.native.together import Silence
from airproof.providers.protocol import GROUP, Progress, Provider, Provision

TOY = Path(__file__).parent / "toy"


@pytest.fixture(scope="session", autouse=True)
def toy_on_path() -> Iterator[None]:
    """Autouse: the processes of a platform import it by PYTHONPATH, and so do the tests."""
    with pytest.MonkeyPatch.context() as patch:
        inherited = os.environ.get("PYTHONPATH")
        patch.setenv("PYTHONPATH", f"{TOY}{os.pathsep}{inherited}" if inherited else str(TOY))
        patch.setattr(sys, "path", [str(TOY), *sys.path])
        yield


@pytest.fixture(scope="session")
def driver(toy_on_path: None) -> Driver:
    from airproof_toy.driver import ToyDriver

    return ToyDriver()


@pytest.fixture(scope="session")
def progress() -> Progress:
    return Silence()


@pytest.fixture(scope="session")
def environment() -> Environment:
    return Environment(name="toy-test", platform="toy", disposable=True, timeouts=Timeouts(ready_s=60.0))


@pytest.fixture(scope="session", params=sorted(entry.name for entry in entry_points(group=GROUP)))
def provider(request: pytest.FixtureRequest) -> Provider:
    loaded: Provider = entry_points(group=GROUP)[request.param].load()()
    return loaded


@pytest.fixture(scope="module")
def provision(provider: Provider, environment: Environment, driver: Driver, progress: Progress) -> Iterator[Provision]:
    missing = [finding for finding in provider.check(environment, driver) if not finding.ok]
    if missing:
        pytest.skip(f"{provider.name} cannot run here: {missing}")
    opened = provider.open(environment, driver, progress=progress)
    try:
        yield opened
    finally:
        opened.close()
