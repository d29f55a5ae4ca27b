"""An environment together with the driver of its platform."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airproof.environment import loader
from airproof.errors import EnvironmentFileError, UsageError
from airproof.platform.manifest import Manifest, Service


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(manifest=Manifest("pyairtable", (Service("auth-service"), Service("user-service")), ()))
    monkeypatch.setattr(loader, "load_driver", lambda _: found)
    return found


def test_the_driver_of_the_platform_comes_with_the_environment(driver: SimpleNamespace) -> None:
    environment, found = loader.select("local", ["services.auth-service.instances=2"])

    assert environment.service("auth-service").instances == 2
    assert found is driver


@pytest.mark.usefixtures("driver")
def test_a_service_that_the_platform_does_not_have_is_refused() -> None:
    with pytest.raises(EnvironmentFileError) as caught:
        loader.select("local", ["services.auth-servce.instances=2"])

    assert str(caught.value) == (
        "environment 'local': services: found 'auth-servce', which platform 'pyairtable' does not have;"
        " allowed: default, auth-service, user-service; did you mean 'auth-service'?"
    )


def test_a_platform_without_a_driver_is_refused() -> None:
    with pytest.raises(UsageError, match="no driver is installed for platform 'nothing'"):
        loader.select("local", ["platform=nothing"])
