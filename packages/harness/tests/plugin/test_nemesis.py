"""The fixture `nemesis`, the file it leaves, and `airproof shrink`, on the platform in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airproof.faults.nemesis import Schedule

from .conftest import QUICK

if TYPE_CHECKING:
    from .conftest import Project

pytest_plugins = ["pytester"]

SUITE = """
    from airproof.faults.nemesis import Disturbance, Schedule

    NODES = ("auth-service", "billing-service", "permission-service", "user-service", "workspace-service")
    WHOLE = Schedule(tuple(Disturbance("killed", (node,)) for node in NODES), seed=5)

    def test_accounts(nemesis, cell):
        with nemesis(WHOLE):
            down = {line.split()[0] for line in cell.health()}
            assert not {"auth-service", "user-service"} <= down
"""


def schedule_file(project: Project) -> Path:
    (found,) = project.report.glob("histories/*.schedule.json")
    return found


def shrink(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = [f"--pytest={option}" for option in QUICK]
    argv = [sys.executable, "-m", "airproof.cli", "shrink", *arguments, "--runs=1", *options]
    return subprocess.run(argv, cwd=project.path, capture_output=True, text=True, timeout=300, check=False)


def test_a_failed_test_leaves_its_schedule_and_says_how_to_shrink_it(project: Project) -> None:
    result = project.test(SUITE, "--airproof-seed", "3")
    assert result.ret == 1
    path = schedule_file(project)
    assert len(Schedule.read(path)) == 5
    assert json.loads(path.read_text())["run_seed"] == 3
    result.stdout.fnmatch_lines(
        [
            "killed auth-service; killed billing-service; *",
            "fewer of them: airproof shrink test_toy.py::test_accounts toy --schedule reports/toy/histories/*.json",
        ]
    )


def test_a_schedule_that_is_handed_in_goes_before_the_tests_own(project: Project) -> None:
    given = project.path / "given.json"
    given.write_text('{"disturbances": [{"kind": "killed", "nodes": ["user-service"]}]}')
    assert project.test(SUITE, "--airproof-schedule=given.json").ret == 0
    assert Schedule.read(schedule_file(project)) == Schedule.read(given)


def test_a_schedule_that_is_none_is_one_line(project: Project) -> None:
    (project.path / "given.json").write_text("[]")
    result = project.test(SUITE, "--airproof-schedule=given.json")
    assert result.ret == 4
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert "given.json' holds no schedule" in line


SEEDED = """
    from airproof.faults.nemesis import Schedule
    from airproof.fixtures.seeds import nemesis_seeds

    def pytest_generate_tests(metafunc):
        metafunc.parametrize("number", nemesis_seeds(metafunc.config, (1, 2)))

    def test_of_a_seed(nemesis, number):
        with nemesis(Schedule((), number)):
            assert number == 7
"""


def test_the_command_line_says_which_seeds_of_schedules_are_run(project: Project) -> None:
    assert project.test(SEEDED).parseoutcomes() == {"failed": 2}
    assert project.test(SEEDED, "--airproof-nemesis", "7").parseoutcomes() == {"passed": 1}
    result = project.test(SEEDED, "--airproof-nemesis=3,7-9")
    assert result.parseoutcomes() == {"failed": 3, "passed": 1}
    result.stdout.fnmatch_lines(["pytest --airproof-env=toy *test_of_a_seed* --airproof-nemesis=3,7-9"])


def test_a_schedule_that_is_handed_in_brings_the_test_of_its_seed_along(project: Project) -> None:
    (project.path / "given.json").write_text('{"seed": 7, "disturbances": []}')
    assert project.test(SEEDED, "--airproof-schedule=given.json").parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize(("given", "why"), [("seven", "is neither a seed nor a range"), ("1,9-7", "names no seed")])
def test_what_is_no_seed_is_refused(project: Project, given: str, why: str) -> None:
    result = project.test(SEEDED, f"--airproof-nemesis={given}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*argument --airproof-nemesis: *{why}*"])


def test_a_cell_without_links_has_no_schedule_of_a_seed(project: Project) -> None:
    result = project.test("def test_a(nemesis):\n    nemesis()\n")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*UsageError: a schedule is anchored to what crosses links*"])


def test_shrink_finds_the_faults_that_are_needed(project: Project) -> None:
    project.test(SUITE, "--airproof-seed", "3", inside=False)
    ended = shrink(project, "test_toy.py::test_accounts", "toy", "--schedule", str(schedule_file(project)))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "5 faults; a candidate fails when 1 of 1 runs do"
    assert "  no fault: failed 0 of 1" in lines
    at = lines.index("2 of 5 faults are enough; with them the test failed 1 of 1 runs:")
    assert lines[at + 1 : at + 3] == ["  killed auth-service", "  killed user-service"]
    (written,) = (project.path / "reports" / "shrunk").glob("*.json")
    assert len(Schedule.read(written)) == 2
    assert lines[-1].startswith("again: pytest test_toy.py::test_accounts --airproof-env=toy --airproof-seed=3")
    assert lines[-1].endswith(f"--airproof-schedule={written.relative_to(project.path)}")


def test_shrink_takes_no_environment_that_does_not_come_up_for_the_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.test(SUITE)
    found = schedule_file(project)
    monkeypatch.setenv("FAKE_TROUBLE", "cell")
    ended = shrink(project, "test_toy.py::test_accounts", "toy", "--schedule", str(found))
    assert ended.returncode == 1
    assert ended.stderr.startswith("airproof: pytest ended with status 1 in a run of 'test_toy.py::test_accounts':")
    assert "auth-service did not become ready" in ended.stderr


def test_shrink_makes_the_schedule_of_a_seed_itself(project: Project) -> None:
    project.pytester.makepyfile(test_toy=SUITE.replace("<= down", "<= down or True"))
    ended = shrink(project, "test_toy.py::test_accounts", "toy", "--seed", "3")
    assert ended.returncode == 1
    assert "with the whole schedule the test failed 0 of 1 runs, not 1 of 1" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test_toy.py::test_accounts", "toy"], "name the --schedule that was left"),
        (["test_toy.py::test_accounts", "toy", "--schedule", "none.json"], "cannot read the schedule 'none.json'"),
        (["test_toy.py::test_accounts", "toy", "--seed", "1", "--failing", "2"], "2 of 1 runs cannot fail"),
        (
            ["test_toy.py::test_acounts", "toy", "--seed", "1"],
            "pytest cannot run 'test_toy.py::test_acounts': not found",
        ),
        (["test_toy.py::test_accounts", "tyo", "--seed", "1"], "no environment 'tyo'"),
        (["test_plain.py::test_a", "toy", "--seed", "1"], "it does not use the fixture `nemesis`"),
        (["--runs", "x"], "argument --runs: invalid int value"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line_with_status_4(
    project: Project, arguments: list[str], said: str
) -> None:
    project.pytester.makepyfile(test_toy=SUITE, test_plain="def test_a(cell): pass")
    ended = shrink(project, *arguments)
    assert ended.returncode == 4
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
