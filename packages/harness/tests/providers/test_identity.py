from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from airproof.environment.model import Backing, Environment, Redis, RedisSource
from airproof.environment.topology import Endpoint
from airproof.errors import ProviderUnavailable
from airproof.platform.driver import Driver, Migration
from airproof.providers.native.identity import fingerprint_of, label_of
from airproof.providers.native.kafka import Broker
from airproof.providers.native.plan import Plan
from airproof.providers.native.platform_processes import base_environment
from airproof.providers.native.postgres_cluster import schema_digest

TOY = Path(__file__).parent / "toy" / "airproof_toy"


@pytest.fixture
def environment() -> Environment:
    return Environment(name="local", platform="toy")


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    shutil.copytree(TOY, tmp_path / "overlay" / "airproof_toy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "overlay"


def test_a_plan_is_whole_while_all_is_there_that_cells_are_made_from(tmp_path: Path) -> None:
    cluster, jar, formatted = (tmp_path / name for name in ("cluster.tar", "kafka.jar", "formatted"))
    broker, nothing = Broker("from jars", class_path=(jar,), formatted=formatted), cast("Any", None)
    plan = Plan(nothing, cluster, nothing, broker, Endpoint("127.0.0.1", 1))
    for path in (cluster, jar, formatted):
        assert not plan.is_whole
        path.touch()
    assert plan.is_whole


def test_an_overlay_makes_it_another_environment(environment: Environment, overlay: Path) -> None:
    assert label_of(environment) == "local"
    overlaid = label_of(environment.model_copy(update={"platform_path": overlay}))
    assert overlaid.startswith("local+")
    assert overlaid != label_of(environment.model_copy(update={"platform_path": overlay.parent}))


def test_what_only_concerns_the_run_changes_nothing(environment: Environment, driver: Driver) -> None:
    other = environment.model_copy(update={"workers": 4, "keep": True, "disposable": True})
    assert fingerprint_of(other, driver) == fingerprint_of(environment, driver)


def test_a_setting_makes_it_not_the_same_any_more(environment: Environment, driver: Driver) -> None:
    other = environment.model_copy(update={"backing": Backing(redis=Redis(source=RedisSource.WHEEL))})
    assert fingerprint_of(other, driver) != fingerprint_of(environment, driver)


def test_changed_code_makes_it_not_the_same_any_more(environment: Environment, driver: Driver, overlay: Path) -> None:
    overlaid = environment.model_copy(update={"platform_path": overlay})
    before = fingerprint_of(overlaid, driver)
    assert fingerprint_of(overlaid, driver) == before
    os.utime(overlay / "airproof_toy" / "service.py", (1, 1))
    assert fingerprint_of(overlaid, driver) != before


def test_the_schema_is_that_of_the_overlay(driver: Driver, overlay: Path) -> None:
    installed = schema_digest(driver.migration, None)
    assert schema_digest(driver.migration, overlay) == installed
    (overlay / "airproof_toy" / "schema.py").write_text("TABLE = 'another'\n")
    assert schema_digest(driver.migration, overlay) != installed
    assert schema_digest(driver.migration, overlay / "without-the-package") == installed


def test_what_an_editor_has_left_beside_the_sources_is_passed_over(
    environment: Environment, driver: Driver, overlay: Path
) -> None:
    overlaid = environment.model_copy(update={"platform_path": overlay})
    migration = Migration((), "airproof_toy", "*.py")
    before = fingerprint_of(overlaid, driver), schema_digest(migration, overlay)
    (overlay / "airproof_toy" / ".#schema.py").symlink_to("somebody@somewhere.4711:1")
    assert (fingerprint_of(overlaid, driver), schema_digest(migration, overlay)) == before


def test_a_schema_that_is_not_there_is_named(driver: Driver) -> None:
    with pytest.raises(ProviderUnavailable, match=r"matches the driver's schema_glob 'nothing\.py'"):
        schema_digest(Migration((), "airproof_toy", "nothing.py"), None)
    with pytest.raises(ProviderUnavailable, match="package 'no_such_package' is not installed"):
        schema_digest(Migration((), "no_such_package", "schema.py"), None)


def test_an_overlay_is_imported_first_and_leaves_no_byte_code(
    environment: Environment, overlay: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = base_environment(environment.model_copy(update={"platform_path": overlay}))
    assert variables["PYTHONPATH"] == f"{overlay}{os.pathsep}/elsewhere"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"


def test_a_process_of_the_platform_inherits_no_secret_of_the_runner(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    assert "AWS_SECRET_ACCESS_KEY" not in base_environment(environment)
