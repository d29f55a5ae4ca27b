"""The toy platform, the environment it runs in, and every registered provider."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from airproof.environment.model import Environment, Timeouts
from airproof.platform.driver import Driver
from airproof.providers.native import NativeProvider
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


@pytest.fixture
def own_environment() -> Environment:
    """One for this very test, so that nobody is in the way of anybody."""
    return Environment(name=f"toy-{uuid.uuid4().hex[:8]}", platform="toy", timeouts=Timeouts(ready_s=60.0))


@pytest.fixture
def open_native(own_environment: Environment, driver: Driver, progress: Progress) -> Iterator[Callable[..., Provision]]:
    opened: list[Provision] = []

    def make(**changes: object) -> Provision:
        changed = own_environment.model_copy(update=changes)
        opened.append(NativeProvider().open(changed, driver, progress=progress))
        return opened[-1]

    yield make
    for provision in opened:
        provision.close()
