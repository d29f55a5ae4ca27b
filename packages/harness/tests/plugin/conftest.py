"""Runs pytest with the plugin in a directory of its own, on a platform in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

FAKE = Path(__file__).parent / "fake"
QUICK = ["-p", "airproof.plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
"""No other plugins: starting pytest is most of what these tests take."""


class Project:
    """A project with an environment `toy` and tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.write_environment()

    def write_environment(self, **fields: object) -> None:
        given = {"platform": "fake", "provider": "hosts", "disposable": "true", "workers": 2, **fields}
        (self.path / "environments").mkdir(exist_ok=True)
        text = "".join(f"{name}: {value}\n" for name, value in given.items())
        (self.path / "environments" / "toy.yml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, inside: bool = True, environment: str = "toy") -> pytest.RunResult:
        """Runs pytest in this process, or in one of its own."""
        runner = self.pytester.runpytest_inprocess if inside else self.pytester.runpytest_subprocess
        return runner(*QUICK, "--airproof-env", environment, *arguments)

    def test(self, body: str, *arguments: str, inside: bool = True) -> pytest.RunResult:
        """Runs a file of tests."""
        self.pytester.makepyfile(test_toy=body)
        return self.run(*arguments, inside=inside)

    @property
    def journal(self) -> list[str]:
        """What the provider was asked to do."""
        path = self.path / "journal"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def report(self) -> Path:
        return self.path / "reports" / "toy"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("FAKE_JOURNAL", str(pytester.path / "journal"))
    for variable in (
        "NOX_CURRENT_SESSION",
        "PYTEST_XDIST_WORKER",
        "PYTEST_XDIST_WORKER_COUNT",
        "PYTEST_XDIST_TESTRUNUID",
    ):
        monkeypatch.delenv(variable, raising=False)
    return Project(pytester)
