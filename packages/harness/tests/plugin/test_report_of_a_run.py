"""What a run leaves behind: pages, files, a way to have it again, and no secrets."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from airproof.fixtures.case import derive_seed

if TYPE_CHECKING:
    from .conftest import Project

pytest_plugins = ["pytester"]

SCENARIOS = """
    import pytest

    @pytest.mark.covers("SAGA-1", "OUT-2")
    def test_holds(cell, platform, seed):
        \"\"\"What was promised holds.\"\"\"
        platform.log("info", "hello")
        with cell.history.operation("start", client="client-1") as operation:
            operation.ok(seed)

    @pytest.mark.promise("A very special promise")
    @pytest.mark.covers("SAGA-2")
    def test_broken(platform):
        assert 1 == 2
"""
ALLURE = ["-p", "allure_pytest.plugin", "--alluredir=allure"]
SECRET = "canary-5f0c1e77-secret"
LEAKS = f"""
    def test_leaks(cell, platform):
        platform.log("info", "got {SECRET}", authorization="Bearer canary-in-header")
        with cell.history.operation("login", args={{"password": "canary-in-field"}}) as operation:
            operation.ok({{"token": "canary-in-result", "all": "{SECRET}"}})
        cell.history.note("x {SECRET}")
        print("printed {SECRET}")
        answer = {{"access_token": "canary-in-variable"}}
        assert answer == {{"admin": "{SECRET}"}}, "told {SECRET}"
"""


def details(project: Project) -> dict[str, dict[str, object]]:
    """Node id to what the HTML page holds of a test."""
    text = (project.report / "report.html").read_text(encoding="utf-8")
    ids = re.findall(r'<span class="id" title="([^"]*::test_\w+)">', text)
    packed = re.findall(r'<script type="application/json\+gzip">(.*?)</script>', text)
    unpacked = [json.loads(gzip.decompress(base64.b64decode(one))) for one in packed]
    return dict(zip(ids, unpacked, strict=True))


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_all_pages_are_written(project: Project, workers: list[str]) -> None:
    result = project.test(SCENARIOS, *workers, inside=not workers)
    result.assert_outcomes(passed=1, failed=1)
    found = details(project)
    assert list(found) == ["test_toy.py::test_broken", "test_toy.py::test_holds"]
    holds = found["test_toy.py::test_holds"]
    assert holds["history"]["operations"][0]["name"] == "start"  # type: ignore[index]
    assert holds["logs"][0][4] == "hello"  # type: ignore[index]
    assert "assert 1 == 2" in str(found["test_toy.py::test_broken"]["failure"])
    counts = json.loads((project.report / "ledger.json").read_text(encoding="utf-8"))["counts"]
    assert (counts["green"], counts["red"]) == (2, 1)
    assert len((project.report / "durations.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    result.stdout.fnmatch_lines(
        [
            "environment toy (hosts), seed *",
            "Kafka: fake broker 1.0 · PostgreSQL: fake server",
            "stand-in, not the real product: Kafka",
            "the cache is read-only",
            "ledger: 2 rows green, 1 red, of 100",
            "report: reports/toy/report.html",
        ]
    )


def test_the_page_speaks_of_promises(project: Project) -> None:
    project.test(SCENARIOS)
    text = (project.report / "report.html").read_text(encoding="utf-8")
    assert "What was promised holds." in text
    assert "A very special promise" in text
    assert "Stand-in, not the real product: Kafka" in text


def test_junit_has_the_properties(project: Project) -> None:
    project.test(SCENARIOS)
    cases = {case.get("name"): case for case in ElementTree.parse(project.report / "junit.xml").iter("testcase")}
    said = [(one.get("name"), one.get("value")) for one in cases["test_holds"].iter("property")]
    assert ("promise", "What was promised holds.") in said
    assert [value for name, value in said if name == "covers"] == ["OUT-2", "SAGA-1"]
    assert {"seed", "reproduce", "history", "logs", "cell"} <= {name for name, _ in said}


def test_junit_goes_where_the_command_line_says(project: Project) -> None:
    project.test(SCENARIOS, "--junitxml=other.xml")
    assert (project.path / "other.xml").exists()
    assert not (project.report / "junit.xml").exists()


def test_a_failure_says_its_seed_and_how_to_have_it_again(project: Project) -> None:
    result = project.test(SCENARIOS, "--airproof-seed", "77", "--airproof-set", "workers=1")
    command = "pytest --airproof-env=toy test_toy.py::test_broken --airproof-seed 77 --airproof-set=workers=1"
    result.stdout.fnmatch_lines(["seed 77; to reproduce:", command])
    failure = next(ElementTree.parse(project.report / "junit.xml").iter("failure"))
    assert command in str(failure.text)


def test_in_a_nox_session_it_is_a_line_for_nox(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOX_CURRENT_SESSION", "e2e-toy")
    result = project.test(SCENARIOS, "--airproof-seed", "77")
    result.stdout.fnmatch_lines(["nox -s e2e-toy -- test_toy.py::test_broken --airproof-seed 77"])


def test_the_same_seed_gives_the_same_test(project: Project) -> None:
    body = "def test_a(seed, tenant): print('drew', seed, tenant.id)"
    drawn = [
        [line for line in project.test(body, "-s", "--airproof-seed", number).outlines if "drew" in line]
        for number in ("5", "5", "6")
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_tests_seed_does_not_depend_on_where_its_file_lies() -> None:
    assert derive_seed(1, "a/b/test_x.py::test_y[z/1]") == derive_seed(1, "../c/test_x.py::test_y[z/1]")
    assert derive_seed(1, "test_x.py::test_y[z]") != derive_seed(2, "test_x.py::test_y[z]")
    assert derive_seed(1, "test_x.py::test_y[z]@group") == derive_seed(1, "test_x.py::test_y[z]")
    assert derive_seed(1, "test_x.py::test_y[a::b]") != derive_seed(1, "test_x.py::test_y[c::b]")


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_no_secret_is_written_anywhere(project: Project, workers: list[str]) -> None:
    result = project.test(LEAKS, *workers, *ALLURE, "-rA", inside=False)
    result.assert_outcomes(failed=1)
    for stream in (result.stdout.str(), result.stderr.str()):
        assert "canary" not in stream
    pages = [path for path in project.path.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    assert len(pages) >= 9
    holding = [path for path in pages if "canary" in path.read_text(encoding="utf-8", errors="replace")]
    assert not holding
    assert "canary" not in json.dumps(details(project))
    assert "[redacted]" in json.dumps(details(project))


def test_allure_gets_logs_and_history(project: Project) -> None:
    project.test(SCENARIOS, *ALLURE, inside=False)
    results = [
        json.loads(path.read_text(encoding="utf-8")) for path in Path(project.path / "allure").glob("*-result.json")
    ]
    holds = next(one for one in results if one["name"] == "test_holds")
    assert {Path(one["name"]).suffix for one in holds["attachments"]} >= {".log", ".jsonl"}
    assert {"SAGA-1", "OUT-2"} <= {label["value"] for label in holds["labels"] if label["name"] == "tag"}
