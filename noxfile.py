"""What can be run in this repository: `nox --list`.

Suites are found under packages/suites-*, environments under environments/; each pair is a session. A session installs
its own packages only, and only when what it would install has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "imports", "tests"]

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints.txt"
ALL = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
SUITES = [name for name in ALL if name.startswith("suites-")]
PLATFORM = [name for name in ALL if name not in {"harness", "defects", *SUITES}]
OWN_TESTS = [f"packages/{name}/tests" for name in ALL if any(ROOT.glob(f"packages/{name}/tests/**/test_*.py"))]
ENVIRONMENTS = sorted(path.stem for path in ROOT.glob("environments/*.yml"))


def install(session: nox.Session, packages: Iterable[str], *groups: str, environment: str | None = None) -> None:
    """Installs packages of the workspace, dependency groups, and what this machine lacks for an environment.

    Nothing is done when the same was installed before: the virtualenv holds a fingerprint of the inputs.
    """
    packages = list(packages)
    requirements = list(nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), *groups))
    with once(session, "installed", _inputs(packages, requirements)) as changed:
        if changed:
            _install(session, packages, requirements)
    if environment is None:
        return
    with once(session, "supplied", _machine(environment)) as machine_changed:
        if (changed or machine_changed) and (missing := missing_extras(session, environment)):
            _install(session, [f"harness[{missing}]"])


@contextmanager
def once(session: nox.Session, what: str, fingerprint: str) -> Iterator[bool]:
    """True when the fingerprint is not the one that the virtualenv remembers; afterwards it remembers this one."""
    marker = Path(session.virtualenv.location) / f"{what}.sha256"
    changed = not marker.is_file() or marker.read_text(encoding="utf-8") != fingerprint
    yield changed
    marker.write_text(fingerprint, encoding="utf-8")


def missing_extras(session: nox.Session, environment: str) -> str:
    """The extras of the harness that this machine needs for an environment, separated by commas."""
    printed = session.run("airproof", "doctor", environment, "--extras", silent=True, log=False)
    return ",".join(str(printed).split())


def _install(session: nox.Session, packages: Iterable[str], requirements: Iterable[str] = ()) -> None:
    editable = [argument for name in packages for argument in ("-e", f"packages/{name}")]
    session.install("-c", str(CONSTRAINTS), *editable, *requirements, env={"UV_NO_SOURCES": "1"})


def _inputs(packages: list[str], requirements: list[str]) -> str:
    digest = hashlib.sha256(repr((packages, requirements, str(ROOT))).encode())
    folders = sorted({name.partition("[")[0] for name in packages})
    for path in (CONSTRAINTS, *(ROOT / "packages" / folder / "pyproject.toml" for folder in folders)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _machine(environment: str) -> str:
    """Of what decides which backing services are found here."""
    digest = hashlib.sha256((ROOT / "environments" / f"{environment}.yml").read_bytes())
    digest.update(repr([os.environ.get(variable) for variable in ("PATH", "JAVA_HOME", "KAFKA_HOME")]).encode())
    return digest.hexdigest()


def run(session: nox.Session, *command: str, outside: bool = False) -> None:
    """Runs a command that cleans up on Ctrl-C, and gives it the time; NOX_PYTHON tells it which Python has nox.

    Byte code is kept in the virtualenv, also where Python is told not to write any: without it every process of a run
    would compile everything again.
    """
    outer: dict[str, str | None] = {"NOX_PYTHON": sys.executable}
    if not outside:
        outer["PYTHONDONTWRITEBYTECODE"] = None
        outer["PYTHONPYCACHEPREFIX"] = str(Path(session.virtualenv.location).resolve() / "byte-code")
    session.run(*command, env=outer, external=outside, log=not outside, interrupt_timeout=30, terminate_timeout=10)


def run_suites(session: nox.Session, suites: list[str], environment: str, report: str, *options: str) -> None:
    """Runs suites in an environment; a test id after `--` replaces the suites and runs in this process."""
    install(session, ["harness[allure]", *PLATFORM, *suites], "order", environment=environment)
    modules = [f"airproof_{suite.removeprefix('suites-')}" for suite in suites]
    what = ["-n", "auto", "--pyargs", *modules]
    if any("::" in argument for argument in session.posargs):
        what = []
    folder = f"reports/{report}"
    reports = [f"--airproof-report={folder}", f"--junitxml={folder}/junit.xml", f"--alluredir={folder}/allure"]
    chosen = ["--airproof-env", environment, *reports, "--clean-alluredir", *options]
    run(session, "pytest", *what, *chosen, *session.posargs)


def _add_suite(suite: str, environment: str) -> None:
    name = f"{suite.removeprefix('suites-')}-{environment}"

    def suite_session(session: nox.Session) -> None:
        run_suites(session, [suite], environment, name)

    suite_session.__doc__ = (
        f"Suite {suite.removeprefix('suites-')} in {environment}; a test id or pytest options after `--`."
    )
    nox.session(name=name, tags=["suite", environment])(suite_session)


for _suite in SUITES:
    for _environment in ENVIRONMENTS:
        _add_suite(_suite, _environment)


@nox.session(tags=["suite"])
def smoke(session: nox.Session) -> None:
    """A few scenarios of every suite, the quick check of a pull request."""
    run_suites(session, SUITES, "local", "smoke", "-m", "smoke")


@nox.session
def prove(session: nox.Session) -> None:
    """Seeded defects against the suites: caught or not; `-- --patch FILE.diff` tries any patch of the platform."""
    install(session, ALL, "order", environment="local")
    run(session, "airproof", "prove", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """How long things take: environment, cell, restart, isolation of a test, barrier."""
    install(session, ALL, "order", environment="local")
    run(session, "python", "benchmarks/run.py", *session.posargs)


@nox.session
def clients(session: nox.Session) -> None:
    """The tests of real clients through a wire: `-- postgres --sources DIR`, `-- redis --sources DIR`."""
    name, *options = session.posargs or session.error("say which: -- postgres, or -- redis; see tests/clients")
    install(session, ALL, "test", "backing", environment="local")
    run(session, "python", "-m", f"tests.clients.{name}", *options)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Damaged conversations of all protocols against the wire: `-- --minutes 60`."""
    install(session, ALL, "test", "backing", environment="local")
    recorded = str(Path(session.virtualenv.location) / "conversations.json")
    run(session, "python", "-m", "tests.clients.conversations", recorded)
    run(session, "python", "-m", "tests.clients.fuzz", recorded, *session.posargs)


@nox.session(tags=["ci"])
def tests(session: nox.Session) -> None:
    """The packages' own tests and the repository's; options for pytest after `--`."""
    install(session, ALL, "test", "backing", environment="local")
    run(session, "pytest", "-n", "2", "--junitxml=reports/tests/junit.xml", *session.posargs)


@nox.session(tags=["ci"])
def lint(session: nox.Session) -> None:
    """Ruff, and the CI files against their schemas; `-- --fix` repairs what can be."""
    install(session, [], "lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))
    workflows = [str(path) for path in sorted(ROOT.glob(".github/workflows/*.yml"))]
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


@nox.session(tags=["ci"])
def types(session: nox.Session) -> None:
    """Mypy, strict, tests included."""
    install(session, ALL, "types")
    session.run("mypy", *session.posargs, *(f"packages/{name}/src" for name in ALL))
    session.run("mypy", *session.posargs, "noxfile.py", "tests", "benchmarks")
    for folder in OWN_TESTS:
        session.run("mypy", *session.posargs, folder)


@nox.session(tags=["ci"])
def imports(session: nox.Session) -> None:
    """Who may import whom, by import-linter."""
    install(session, ALL, "imports")
    session.run("lint-imports", *session.posargs)


@nox.session(reuse_venv=False, tags=["ci"])
def wheels(session: nox.Session) -> None:
    """Builds the wheels and runs the packages' tests and a few scenarios from them, in a clean virtualenv."""
    folder = Path(session.virtualenv.location) / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    groups = nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), "wheels", "test")
    session.install("-c", str(CONSTRAINTS), *groups)
    for name in ALL:
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), f"packages/{name}")
    built = sorted(str(path.resolve()) for path in folder.glob("*.whl"))
    session.install("-c", str(CONSTRAINTS), *built)
    if missing := missing_extras(session, "local"):
        harness = next(wheel for wheel in built if Path(wheel).name.startswith("airproof-"))
        session.install("-c", str(CONSTRAINTS), f"{harness}[{missing}]")
    run(session, "pytest", "-n", "2", *OWN_TESTS, *session.posargs)
    modules = [f"airproof_{suite.removeprefix('suites-')}" for suite in SUITES]
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        options = ["--strict-markers", "--airproof-env", "local", "--pyargs", *modules]
        session.run("pytest", "--collect-only", "-q", *options)
        run(session, "pytest", "-n", "auto", "-m", "smoke", *options)


@nox.session(venv_backend="none", default=False)
def lock(session: nox.Session) -> None:
    """Resolves the workspace anew: uv.lock, and constraints.txt from it (needs uv)."""
    session.run("uv", "lock", *session.posargs, external=True)
    export = ["--all-packages", "--all-extras", "--all-groups", "--no-emit-workspace", "--no-hashes", "--no-annotate"]
    session.run("uv", "export", "-q", "--frozen", *export, "--no-header", "-o", str(CONSTRAINTS), external=True)


@nox.session
def airproof(session: nox.Session) -> None:
    """The command line, as in `nox -s airproof -- inspect local`."""
    named = next((argument for argument in session.posargs if argument in ENVIRONMENTS), "local")
    install(session, ["harness", *PLATFORM], environment=named)
    run(session, "airproof", *session.posargs)


def _add_command(name: str, description: str) -> None:
    def command_session(session: nox.Session) -> None:
        nox_again = [sys.executable, "-m", "nox", "-f", __file__, "-s", "airproof", "--", name]
        run(session, *nox_again, *session.posargs, outside=True)

    command_session.__doc__ = f"{description}; the environment and options after `--`."
    nox.session(name=name, venv_backend="none", tags=["command"])(command_session)


_add_command("up", "Brings an environment up and leaves it up")
_add_command("down", "Ends an environment that was left up")
_add_command("health", "A table of every node, and an exit status")
_add_command("logs", "What the nodes write")
_add_command("inspect", "Endpoints, versions and sources of an environment, secrets masked")
_add_command("reset", "Back to empty; `--cache` clears the caches too")
_add_command("validate-env", "What this machine lacks for an environment and how to get it; changes nothing")
