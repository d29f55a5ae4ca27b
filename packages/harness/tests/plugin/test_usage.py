"""Wrong options and missing things: one clean line, the right exit status, nothing started."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import QUICK

if TYPE_CHECKING:
    from .conftest import Project

pytest_plugins = ["pytester"]

GREEN = "def test_green(platform): pass"


def errors(result: pytest.RunResult) -> list[str]:
    return [line for line in result.errlines if line.startswith("ERROR")]


def test_an_unknown_environment_is_one_line(project: Project) -> None:
    result = project.run(environment="tyo")
    assert result.ret == 4
    (line,) = errors(result)
    assert "no environment 'tyo'" in line
    assert "did you mean 'toy'?" in line


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--airproof-set=workers=many", "workers"),
        ("--airproof-set=worker=2", "worker"),
        ("--airproof-set=timeouts", "FIELD=VALUE"),
    ],
)
def test_a_wrong_override_is_one_line(project: Project, option: str, said: str) -> None:
    result = project.test(GREEN, option)
    assert result.ret == 4
    (line,) = errors(result)
    assert said in line


def test_a_platform_path_that_does_not_exist_is_one_line(project: Project) -> None:
    result = project.test(GREEN, "--airproof-platform-path=patched")
    assert result.ret == 4
    (line,) = errors(result)
    assert f"platform_path: found '{project.path}/patched'; allowed: a directory that exists" in line


def test_an_unknown_platform_is_one_line(project: Project) -> None:
    project.write_environment(platform="fkae")
    result = project.test(GREEN)
    assert result.ret == 4
    assert "no driver is installed for platform 'fkae'" in errors(result)[0]


def test_a_missing_provider_is_one_line_with_its_own_status(project: Project) -> None:
    project.write_environment(provider="containers")
    result = project.test(GREEN, inside=False)
    assert result.ret == 5
    assert "no provider 'containers' is installed" in "\n".join(result.outlines + result.errlines)
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_what_cannot_be_had_is_one_line_with_its_own_status(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", "open")
    result = project.test(GREEN, *workers, inside=False)
    assert result.ret == 5
    result.stdout.fnmatch_lines(["!* no Kafka on this machine: install a Java of 17 or newer !*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_service_that_does_not_start_is_shown_with_its_last_lines(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    monkeypatch.setenv("FAKE_TROUBLE", "cell")
    result = project.test(GREEN, *workers, inside=False)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["!* auth-service did not become ready within 1 s; its last lines: !*"])
    result.stderr.fnmatch_lines(["  cannot open database"])


def test_the_run_ends_when_there_is_no_other_cell_to_be_had(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    result = project.test(
        """
        import os, pytest

        def test_first(platform):
            os.environ["FAKE_TROUBLE"] = "cell"
            platform.stay_down()

        @pytest.mark.parametrize("n", range(50))
        def test_others(platform, n): pass
        """,
        "-n",
        "1",
        inside=False,
    )
    assert result.ret == 2
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["auth-service did not become ready within 1 s; its last lines:", "*cannot open*"])


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["here", "workers"])
def test_a_run_that_takes_longer_than_its_environment_allows_begins_no_further_test(
    project: Project, workers: list[str]
) -> None:
    project.write_environment(limits="{duration_s: 0.001}")
    body = "import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_one(platform, n): pass"
    result = project.test(body, *workers, inside=not workers)
    assert result.parseoutcomes().get("passed", 0) == 0
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*the run has taken longer than 0.001 s (limits.duration_s)*"])


DESTRUCTIVE = "import pytest\npytestmark = pytest.mark.destructive\ndef test_breaks(platform): pass"


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_destructive_tests_refuse_an_environment_that_is_not_disposable(project: Project, workers: list[str]) -> None:
    project.write_environment(disposable="false")
    result = project.test(DESTRUCTIVE, *workers, inside=not workers)
    assert result.ret == 4
    (line,) = errors(result)
    assert "'toy' does not say `disposable: true`" in line
    assert "test_toy.py (1)" in line


def test_a_test_that_wants_two_kinds_of_cell_is_refused(project: Project) -> None:
    result = project.test("import pytest\n@pytest.mark.doubled\ndef test_a(wire): pass")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *test_a asks for cells of several kinds, wired and doubled; a test has one *"])


def test_destructive_tests_may_be_deselected(project: Project) -> None:
    project.write_environment(disposable="false")
    result = project.test(DESTRUCTIVE + "\n", "-m", "not destructive")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_without_an_environment_a_test_that_needs_one_says_so(project: Project) -> None:
    project.pytester.makepyfile("def test_green(platform): pass\ndef test_plain(): pass")
    result = project.pytester.runpytest_inprocess(*QUICK)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["this test needs an environment: pass --airproof-env NAME"])
    assert project.journal == []
    assert not project.report.exists()


def test_without_an_environment_nothing_heavy_is_imported() -> None:
    heavy = ["pydantic", "yaml", "rich", "jinja2", "xdist", "airproof.cells", "airproof.reports", "airproof.history"]
    program = (
        "import sys, pytest; before = set(sys.modules); import airproof.plugin;"
        f"print([name for name in {heavy} if name in set(sys.modules) - before])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert printed.stdout.strip() == "[]"


def test_collecting_brings_nothing_up(project: Project) -> None:
    result = project.test(GREEN, "--collect-only")
    assert result.ret == 0
    assert project.journal == []


def test_the_environment_can_be_named_in_the_configuration(project: Project) -> None:
    project.pytester.makeini("[pytest]\nairproof_env = toy\n")
    project.pytester.makepyfile("def test_green(environment): assert environment.name == 'toy'")
    result = project.pytester.runpytest_inprocess(*QUICK)
    result.assert_outcomes(passed=1)


def test_suites_get_the_manifest_at_collection(project: Project) -> None:
    project.test(
        """
        from airproof.plugin import manifest

        def pytest_generate_tests(metafunc):
            metafunc.parametrize("service", [one.name for one in manifest(metafunc.config).services])

        def test_service(service): pass
        """
    ).assert_outcomes(passed=1)


def test_the_number_of_workers_is_the_environments(project: Project) -> None:
    result = project.test("def test_a(platform): pass\ndef test_b(platform): pass", "-n", "auto", inside=False)
    result.assert_outcomes(passed=2)
    assert project.journal.count("join fake-handle") == 2
