"""What comes with something new (CONTRIBUTING.md, "What comes with what") is there for everything there is."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Modules = dict[Path, ast.Module]
Texts = dict[Path, str]
Scenario = dict[str, Any]
Function = ast.FunctionDef | ast.AsyncFunctionDef

HARNESS = Path("packages/harness/src/airproof")
HARNESS_TESTS = Path("packages/harness/tests")
PLATFORM = Path("packages/reference-platform/src/pyairtable_reference/services")
LEDGER = HARNESS / "reports" / "features.md"
# The categories of failure-modes.csv whose defects can turn the scenarios of a family of ledger rows red.
DEFECTS_OF = {
    "SAGA": {"SAGA"},
    "OUT": {"OUTBOX"},
    "CQRS": {"CQRS", "DBTX"},
    "ES": {"ES"},
    "UOW": {"UOW", "DBTX"},
    "CA": {"CACHE"},
    "EB": {"BUS"},
    "GW": {"GATEWAY"},
    "XS": {"XSERVICE"},
    "SEC": {"SECURITY"},
    "DATA": {"TENANCY"},
}


# Scenarios are generated, so pytest is asked for them: what uses a cell is one.
COLLECT = """
import inspect, json, pathlib, sys, pytest

class Collected:
    def pytest_collection_finish(self, session):
        self.scenarios = [plain(item) for item in session.items if "cell" in item.fixturenames]

def plain(item):
    promise = item.get_closest_marker("promise")
    said = promise.args[0] if promise else inspect.getdoc(item.function) or ""
    covers = [row for mark in item.iter_markers("covers") for row in mark.args]
    return {"id": item.nodeid, "promise": said, "covers": covers}

collected, target, *suites = Collected(), *sys.argv[1:]
status = pytest.main(["--collect-only", "-q", "--airproof-env", "local", "--pyargs", *suites], plugins=[collected])
pathlib.Path(target).write_text(json.dumps(collected.scenarios))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def scenarios(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Scenario]:
    """Every scenario of every suite: its id, promise and rows."""
    target = tmp_path_factory.mktemp("scenarios") / "scenarios.json"
    suites = [f"airproof_{path.name.removeprefix('suites-')}" for path in root.glob("packages/suites-*")]
    command = [sys.executable, "-c", COLLECT, str(target), *suites]
    ended = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: list[Scenario] = json.loads(target.read_text(encoding="utf-8"))
    return found


def test_every_provider_has_an_extra_a_conformance_test_and_a_line_in_its_how_to(
    projects: dict[str, dict[str, Any]], texts: Texts
) -> None:
    project = projects["harness"]["project"]
    tried_on = texts[HARNESS_TESTS / "providers" / "conftest.py"]

    for name, target in project["entry-points"]["airproof.providers"].items():
        module = HARNESS.parent.joinpath(*target.partition(":")[0].split("."))
        assert {module.with_suffix(".py"), module / "__init__.py"} & set(texts), f"{name}: no module {module}"
        assert name == "native" or name in project["optional-dependencies"], f"{name}: no extra for what it imports"
        assert "entry_points(group=GROUP)" in tried_on, "test_conformance.py must try everything that is registered"
        assert f"| `{name}` |" in texts[Path("docs/testing/providers.md")], (
            f"{name}: no line in docs/testing/providers.md"
        )


STORED_DATA = {"records.py", "rows.py"}
"""Faults of what a backing service stores: only the real one can say whether it has changed."""


def test_every_fault_is_tested_on_a_fake_and_on_a_real_provider(modules: Modules, texts: Texts) -> None:
    on_fakes = _joined(texts, HARNESS_TESTS / "faults")
    real = ("packages/suites-", str(HARNESS_TESTS / "providers"))
    on_real = "\n".join(text for path, text in texts.items() if str(path).startswith(real))

    for path, function in _functions(modules, HARNESS / "faults"):
        if "contextmanager" in _decorators(function):
            used = re.compile(rf"\b{function.name}\b")
            if path.name not in STORED_DATA:
                assert used.search(on_fakes), f"{path}: {function.name} has no test in {HARNESS_TESTS}/faults"
            assert used.search(on_real), f"{path}: {function.name} is used in no scenario and tried on no provider"


def test_every_anomaly_is_found_in_a_history_told_by_hand(modules: Modules, texts: Texts) -> None:
    told = _joined(texts, HARNESS_TESTS / "checkers")
    named = {
        name: path
        for path, tree in modules.items()
        if path.is_relative_to(HARNESS / "checkers")
        for name in _anomalies(tree)
    }

    assert {name: str(path) for name, path in named.items() if f'/{name}"' not in told} == {}


def test_what_is_blamed_is_a_category_of_the_failure_modes(texts: Texts) -> None:
    from airproof_defects.catalogue import failure_modes

    sources = [text for path, text in texts.items() if path.is_relative_to("packages") and "src" in path.parts]
    blamed = {name for text in sources for name in re.findall(r'(?:\bAnomaly\(\s*|\bblames=)"(\w+)"', text)}

    assert blamed
    assert blamed <= {mode.category for mode in failure_modes().values()}


def test_checkers_are_tested_on_valid_invalid_and_unknown_histories(texts: Texts) -> None:
    told = _joined(texts, HARNESS_TESTS / "checkers")

    assert re.search(r"def test_\w+_is_valid", told)
    assert "Validity.UNKNOWN" in told


def test_every_scenario_says_what_it_promises_and_which_rows_it_covers(scenarios: list[Scenario], texts: Texts) -> None:
    rows = set(re.findall(r"^\| ([A-Z]+-\d+) \|", texts[LEDGER], re.MULTILINE))

    for scenario in scenarios:
        covered = set(scenario["covers"])
        assert covered, f"{scenario['id']} covers no row of the ledger"
        assert covered <= rows, f"{scenario['id']} covers {sorted(covered - rows)}, which the ledger does not have"
        assert re.fullmatch(r"[^\n]+", scenario["promise"]), f"{scenario['id']}: its promise is one line"


def test_every_scenario_has_a_defect_that_can_turn_it_red(scenarios: list[Scenario]) -> None:
    from airproof_defects.catalogue import defects

    seeded = {defect.category for defect in defects().values()}
    provable = {family for family, categories in DEFECTS_OF.items() if categories & seeded}

    assert [one["id"] for one in scenarios if not provable & {row.partition("-")[0] for row in one["covers"]}] == []


def test_every_defect_is_a_failure_mode_with_a_trigger() -> None:
    from airproof_defects.catalogue import defects, failure_modes

    modes = failure_modes()
    for defect in defects().values():
        assert defect.id in modes, f"{defect.id} is not in failure-modes.csv"
        assert defect.category == modes[defect.id].category, defect.id
        assert defect.trigger, f"{defect.id}: what has to happen at least for it to show?"
        assert defect.edits, defect.id


def test_every_defect_names_a_scenario_that_sees_it(scenarios: list[Scenario]) -> None:
    from airproof_defects.catalogue import defects, failure_modes

    names = {one["id"].rpartition("::")[2] for one in scenarios}
    named = {mode.id: mode.seen_by for mode in failure_modes().values() if mode.seen_by}

    assert set(named) == set(defects()), "in failure-modes.csv, seen_by is filled in for what is seeded, and only there"
    assert {defect: seen_by for defect, seen_by in named.items() if seen_by not in names} == {}


def test_every_service_has_a_manifest_entry_an_import_contract_and_a_schema(root: Path, modules: Modules) -> None:
    from airproof.platform.registry import load_driver

    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["id"]: contract for contract in workspace["tool"]["importlinter"]["contracts"]}
    folders = {path.relative_to(PLATFORM).parts[0] for path in modules if _is_in_a_folder_of(path, PLATFORM)}
    manifest = load_driver("pyairtable").manifest

    assert {service.name.replace("-", "_") for service in manifest.services} == folders
    for contract, key in (("services", "modules"), ("service-layers", "containers")):
        assert {name.rpartition(".")[2] for name in contracts[contract][key]} == folders, (
            f"import contract {contract!r}"
        )
    for service in manifest.services:
        if service.database:
            schema = PLATFORM / service.name.replace("-", "_") / "adapters" / "schema.py"
            assert schema in modules, f"{service.name}: its tables belong into {schema}"


@pytest.mark.parametrize("page", ["scenarios", "faults", "defects", "services", "environments", "providers"])
def test_every_kind_of_addition_has_a_how_to(page: str, texts: Texts) -> None:
    assert f"({page}.md)" in texts[Path("docs/testing/index.md")]
    assert texts[Path(f"docs/testing/{page}.md")].startswith("# ")


def _joined(texts: Texts, folder: Path) -> str:
    return "\n".join(text for path, text in texts.items() if path.is_relative_to(folder))


def _functions(modules: Modules, folder: Path) -> Iterator[tuple[Path, Function]]:
    for path, tree in modules.items():
        if path.is_relative_to(folder):
            for node in tree.body:
                if isinstance(node, Function) and not node.name.startswith("_"):
                    yield path, node


def _decorators(function: Function) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list}


def _anomalies(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Anomaly" and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def _is_in_a_folder_of(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and len(path.relative_to(folder).parts) > 1
