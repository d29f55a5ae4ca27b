"""CI files call nox sessions that exist, and little else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CALL = re.compile(r"nox(?:\[uv\])?\"?\s+(?:--no-color\s+)?-s\s+(\S+)")
SHORT = 80
BLOCKS = {
    "pipeline", "agent", "options", "stages", "stage", "steps", "parallel", "post", "always", "when", "environment",
}  # fmt: skip


@pytest.fixture(scope="session")
def sessions(root: Path) -> dict[str, dict[str, Any]]:
    """All sessions by name; without a filter nox would list the default ones only."""
    command = [sys.executable, "-m", "nox", "--list", "--json", "-k", "not nothing", "-f", str(root / "noxfile.py")]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {session["session"]: session for session in json.loads(listed)}


def test_the_menu_has_every_suite_in_every_environment(root: Path, sessions: dict[str, Any]) -> None:
    suites = [path.name.removeprefix("suites-") for path in root.glob("packages/suites-*")]
    environments = [path.stem for path in root.glob("environments/*.yml")]

    assert {f"{suite}-{environment}" for suite in suites for environment in environments} <= set(sessions)
    assert [name for name, session in sessions.items() if not session["description"]] == []


@pytest.mark.parametrize("file", ["Jenkinsfile", ".ci/run", ".github/workflows/ci.yml", "README.md", "CONTRIBUTING.md"])
def test_only_sessions_that_exist_are_called(file: str, root: Path, sessions: dict[str, Any]) -> None:
    called = {name.strip("'\"`.,") for name in CALL.findall((root / file).read_text(encoding="utf-8"))}

    assert called - {"${{"} - set(sessions) == set()
    assert called


def test_the_workflow_runs_the_sessions_with_the_tag_of_ci(root: Path, sessions: dict[str, Any]) -> None:
    workflow = yaml.safe_load((root / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    listing = workflow["jobs"]["sessions"]["steps"][-1]["run"]
    tagged = {name for name, session in sessions.items() if "ci" in session["tags"]}

    assert "nox --list --json --tags ci" in listing
    assert {"lint", "types", "imports", "tests", "wheels", "e2e-ci"} <= tagged


def test_the_jenkinsfile_is_a_declarative_pipeline(root: Path) -> None:
    # Jenkins publishes no schema. Groovy's own compiler was seen to take the file; its directives are checked here.
    text = re.sub(r"//.*|'[^']*'", "''", (root / "Jenkinsfile").read_text(encoding="utf-8"))
    blocks = set(re.findall(r"(\w+)\s*(?:\([^)]*\))?\s*\{", text))

    assert text.count("{") == text.count("}")
    assert re.match(r"\s*(''\s*)?pipeline \{", text)
    assert blocks <= BLOCKS
    assert {"junit", "allure", "archiveArtifacts"} <= set(re.findall(r"^\s+(\w+) ", text, re.MULTILINE))


@pytest.mark.parametrize("file", ["Jenkinsfile", ".ci/run", ".github/workflows/ci.yml", "tox.toml"])
def test_ci_files_stay_short(file: str, root: Path) -> None:
    assert len((root / file).read_text(encoding="utf-8").splitlines()) <= SHORT
