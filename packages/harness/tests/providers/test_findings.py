from __future__ import annotations

import os
import shutil
from typing import NamedTuple

import pytest

from airproof.environment.model import Backing, Environment, Kafka, KafkaSource
from airproof.errors import ProviderUnavailable
from airproof.platform.driver import Driver
from airproof.providers.native import findings, jars, jvm, postgres, stand_in
from airproof.providers.native.findings import find_all
from airproof.providers.protocol import Finding


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def environment() -> Environment:
    return Environment(name="local", platform="toy", workers=2, disposable=True)


def missing(*_: object) -> None:
    raise ProviderUnavailable("there is none; install it")


def found(environment: Environment, driver: Driver, what: str) -> Finding:
    return next(finding for finding in find_all(environment, driver) if finding.what == what)


@pytest.mark.parametrize(
    ("module", "function", "what", "extra"),
    [(postgres, "find_postgres", "PostgreSQL", "postgres"), (jvm, "find_java", "Java", "jre")],
)
def test_what_is_missing_names_the_extra_that_supplies_it(
    environment: Environment,
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    function: str,
    what: str,
    extra: str,
) -> None:
    monkeypatch.setattr(module, function, missing)
    finding = found(environment, driver, what)
    assert (finding.ok, finding.detail, finding.extra) == (False, "there is none", extra)
    assert f"airproof[{extra}]" in finding.remedy


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(jars, "jars_cached", lambda cache: False)
    monkeypatch.setattr(jars, "repository_answers", lambda: None)


@pytest.mark.usefixtures("unreachable")
def test_jars_out_of_reach_are_found_before_the_run(
    environment: Environment, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "find_stand_in", missing)
    finding = found(environment, driver, "Kafka")
    assert not finding.ok
    assert finding.extra == "stand-in"
    assert "AIRPROOF_MAVEN_REPOSITORY" in finding.remedy


@pytest.mark.usefixtures("unreachable")
def test_the_stand_in_is_good_enough_unless_the_jars_are_insisted_on(
    environment: Environment, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "find_stand_in", lambda: ("noida-db", "stand-in noida-db 1, not Apache Kafka"))
    assert found(environment, driver, "Kafka").detail == "stand-in noida-db 1, not Apache Kafka"
    insisting = environment.model_copy(update={"backing": Backing(kafka=Kafka(source=KafkaSource.JARS))})
    assert not found(insisting, driver, "Kafka").ok


def test_jars_that_can_be_downloaded_are_good_enough(
    environment: Environment, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setattr(jars, "jars_cached", lambda cache: False)
    monkeypatch.setattr(jars, "repository_answers", lambda: "https://mirror.example/maven")
    finding = found(environment, driver, "Kafka")
    assert finding.ok
    assert finding.detail.endswith("jars to be downloaded from https://mirror.example/maven")


def test_small_memory_is_said_with_what_enlarges_it(
    environment: Environment, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not findings.MEMORY.is_dir():
        pytest.skip("no /dev/shm here")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(64 * 2**20, 0, 64 * 2**20))
    finding = found(environment, driver, str(findings.MEMORY))
    assert finding.ok
    assert finding.detail == "64 MB free of 1112 MB for 2 worker(s); what does not fit goes to disk"
    assert "--shm-size 1112m" in finding.remedy


def test_what_native_processes_do_not_offer_is_found(environment: Environment, driver: Driver) -> None:
    asking = environment.model_copy(update={"backing": Backing(kafka=Kafka(brokers=3))})
    finding = found(asking, driver, "environment")
    assert not finding.ok
    assert finding.detail == "backing.kafka.brokers: 3 needs provider: hosts"


def test_an_environment_that_is_not_disposable_is_pointed_out(environment: Environment, driver: Driver) -> None:
    kept = environment.model_copy(update={"disposable": False})
    assert "destructive suites will refuse it" in found(kept, driver, "disposable").detail


@pytest.mark.parametrize("ok", [True, False])
def test_a_user_without_a_name_needs_a_namespace(
    environment: Environment, driver: Driver, monkeypatch: pytest.MonkeyPatch, ok: bool
) -> None:
    monkeypatch.setattr(findings, "user_namespaces_work", lambda: ok)
    monkeypatch.setattr(findings, "has_name", lambda uid: False)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    finding = found(environment, driver, "user")
    assert finding.ok is ok
    assert finding.detail.startswith("uid 4711 has no name in /etc/passwd")
