"""Reading environments: inheritance, overrides, and one clear line for every way to be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airproof.environment.loader import available, load
from airproof.environment.model import CleanUp, KafkaSource, ProviderChoice
from airproof.errors import EnvironmentFileError, ExitStatus

Write = Callable[..., Path]
NO_TEXT = "the name of a field is no text; write it in quotes if it is meant"
MINIMAL = "platform: pyairtable\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `environments/<name>.yml` in a project of its own, which is the current directory."""
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)

    def write_file(text: str, name: str = "mine") -> Path:
        path = tmp_path / "environments" / f"{name}.yml"
        path.write_text(text)
        return path

    return write_file


@pytest.mark.parametrize("name", ["local", "ci", "production-like"])
def test_a_standard_environment_is_there_without_a_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert load(name, variables={}).name == name


def test_the_ci_environment_is_the_local_one_with_limits() -> None:
    local, ci = load("local", variables={}), load("ci", variables={})

    assert (ci.platform, ci.workers, ci.backing) == (local.platform, local.workers, local.backing)
    assert (ci.limits.cores, ci.limits.memory_mb, ci.limits.duration_s) == (2, 4096, 1800)
    assert ci.cleanup is CleanUp.AGGRESSIVE


def test_the_production_like_environment_has_nothing_single() -> None:
    environment = load("production-like", variables={})

    assert environment.provider is ProviderChoice.HOSTS
    assert environment.backing.kafka.brokers == 3
    assert environment.backing.redis.sentinels == 3
    assert environment.service("auth-service").instances == 2
    assert environment.security.tls


def test_the_nearest_folder_of_environments_is_found_from_below(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    below = write(MINIMAL).parent.parent / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    assert set(available(Path.cwd())) == {"mine", "local", "ci", "production-like"}
    assert load("mine", variables={}).platform == "pyairtable"


def test_a_file_may_stand_anywhere(write: Write) -> None:
    path = write(MINIMAL).rename("elsewhere.yml")

    assert load(str(path), variables={}).name == "elsewhere"


def test_a_file_inherits_what_it_does_not_say(write: Write) -> None:
    write("platform: pyairtable\ntimeouts: {ready_s: 7, test_s: 8}\n", "parent")
    write("extends: parent\ntimeouts: {ready_s: 9}\n")

    assert load("mine", variables={}).timeouts.model_dump() == {"ready_s": 9, "test_s": 8, "barrier_s": 10}


def test_being_disposable_is_not_inherited(write: Write) -> None:
    write("extends: local\n")

    assert load("local", variables={}).disposable
    assert not load("mine", variables={}).disposable


def test_a_variable_overrides_the_file_and_an_option_overrides_the_variable(write: Write) -> None:
    write(MINIMAL + "workers: 2\ntimeouts: {test_s: 2}\n")
    variables = {"AIRPROOF__workers": "3", "AIRPROOF__timeouts__test_s": "3", "AIRPROOF_CACHE": "elsewhere"}

    environment = load("mine", ["workers=4", "backing.kafka.source=stand-in"], variables=variables)

    assert (environment.workers, environment.timeouts.test_s) == (4, 3)
    assert environment.backing.kafka.source is KafkaSource.STAND_IN


def test_a_platform_path_names_a_directory(write: Write) -> None:
    path = write(MINIMAL + "platform_path: patched\n")

    with pytest.raises(EnvironmentFileError) as caught:
        load("mine", variables={})
    assert str(caught.value) == (
        "environments/mine.yml: platform_path: found 'patched'; allowed: a directory that exists"
    )
    with pytest.raises(EnvironmentFileError, match=rf"^--set platform_path={path}: platform_path: found"):
        load("mine", [f"platform_path={path}"], variables={})

    Path("patched").mkdir()
    assert load("mine", variables={}).platform_path == Path("patched")


def test_overrides_reach_services_by_name(write: Write) -> None:
    write(MINIMAL)

    environment = load("mine", ["services.auth-service.settings.LOG_LEVEL=debug"], variables={})

    assert environment.service("auth-service").settings == {"LOG_LEVEL": "debug"}
    assert environment.service("user-service").settings == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "environments/mine.yml: platform: found nothing; allowed: str"),
        (
            MINIMAL + "provder: native",
            "environments/mine.yml: provder: found a field that is not known; allowed: description, platform, provider,"
            " disposable, workers, backing, services, limits, timeouts, cleanup, security, monitoring, keep,"
            " platform_path; did you mean 'provider'?",
        ),
        (
            MINIMAL + "timeouts: {redy_s: 3}",
            "environments/mine.yml: timeouts.redy_s: found a field that is not known; allowed: ready_s, barrier_s,"
            " test_s; did you mean 'ready_s'?",
        ),
        (
            MINIMAL + "provider: natve",
            "environments/mine.yml: provider: found 'natve'; allowed: auto, native, containers, hosts;"
            " did you mean 'native'?",
        ),
        (MINIMAL + "workers: two", "environments/mine.yml: workers: found 'two'; allowed: a valid integer"),
        (MINIMAL + "workers: '2'", "environments/mine.yml: workers: found '2'; allowed: a valid integer"),
        (MINIMAL + "workers: 0", "environments/mine.yml: workers: found 0; allowed: greater than or equal to 1"),
        (MINIMAL + "backing: [kafka]", "environments/mine.yml: backing: found ['kafka']; allowed: an object"),
        (
            MINIMAL + "services: {auth-service: {instances: x}}",
            "environments/mine.yml: services.auth-service.instances: found 'x'; allowed: a valid integer",
        ),
        (
            MINIMAL + "workers: x\nkeep: 3",
            "environments/mine.yml: workers: found 'x'; allowed: a valid integer (and 1 more)",
        ),
        (MINIMAL + "name: other", "environments/mine.yml: name: the file's own name is the name"),
        (MINIMAL + "workers: 1\nworkers: 2", "environments/mine.yml:3:1: not YAML: 'workers' is written twice"),
        *[
            (f"{MINIMAL}{text}", f"environments/mine.yml:{place}: not YAML: {NO_TEXT}")
            for text, place in [
                ("services: {1: {instances: 2}}", "2:12"),
                ("settings: {2024-01-01: x}", "2:12"),
                ("? [a, b]\n: 1", "2:3"),
            ]
        ],
        ("platform: [", "environments/mine.yml:1:12: not YAML: expected the node content, but found '<stream end>'"),
        ("- a", "environments/mine.yml: found ['a']; allowed: fields with values"),
        ("extends: 3", "environments/mine.yml: extends: found 3; allowed: the name of an environment"),
        ("extends: mine", "environments/mine.yml: extends: the file extends itself"),
        (
            "extends: locl",
            "environments/mine.yml: extends: no environment 'locl'; there are: ci, local, mine, production-like;"
            " did you mean 'local'?",
        ),
    ],
)
def test_a_wrong_file_gives_one_line(write: Write, text: str, message: str) -> None:
    write(text)

    with pytest.raises(EnvironmentFileError) as caught:
        load("mine", variables={})

    assert str(caught.value) == message
    assert caught.value.exit_status is ExitStatus.USAGE


def test_the_line_names_the_file_that_said_it(write: Write) -> None:
    write(MINIMAL + "timeouts: {ready_s: soon}\n", "parent")
    write("extends: parent\ntimeouts: {test_s: 3}\n")

    with pytest.raises(EnvironmentFileError, match=r"^environments/parent\.yml: timeouts\.ready_s: found 'soon'"):
        load("mine", variables={})


def test_the_line_names_the_override_that_said_it(write: Write) -> None:
    write(MINIMAL)

    with pytest.raises(EnvironmentFileError, match=r"^--set workers=many: workers: found 'many'"):
        load("mine", ["workers=many"], variables={})
    with pytest.raises(EnvironmentFileError, match=r"^AIRPROOF__workers: workers: found 'many'"):
        load("mine", variables={"AIRPROOF__workers": "many"})
    with pytest.raises(EnvironmentFileError, match=r"^--set workers: found no value; allowed: FIELD=VALUE"):
        load("mine", ["workers"], variables={})
    with pytest.raises(EnvironmentFileError, match=r"^--set workers=\[: found '\['; allowed: a YAML value"):
        load("mine", ["workers=["], variables={})
    with pytest.raises(EnvironmentFileError, match=r"^--set services={1: {}}: found .*; allowed: a YAML value"):
        load("mine", ["services={1: {}}"], variables={})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loca", "no environment 'loca'; there are: ci, local, mine, production-like; did you mean 'local'?"),
        ("nothing/here.yml", "nothing/here.yml: no such environment file"),
    ],
)
def test_an_unknown_environment_lists_those_there_are(write: Write, name: str, message: str) -> None:
    write(MINIMAL)

    with pytest.raises(EnvironmentFileError) as caught:
        load(name, variables={})

    assert str(caught.value) == message


def test_an_environment_does_not_change(write: Write) -> None:
    write(MINIMAL)

    with pytest.raises(ValueError, match="frozen"):
        load("mine", variables={}).workers = 3  # type: ignore[misc]
