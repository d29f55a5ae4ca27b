"""House style that no linter holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
MAY_SLEEP = Path("packages/harness/src/airproof/waiting.py")
MOST_FIXTURES = 15


def test_no_module_has_a_name_that_says_nothing(tracked: list[Path]) -> None:
    parts = {path: {*path.parts[:-1], path.stem} for path in tracked if path.suffix == ".py"}

    assert [str(path) for path, names in parts.items() if names & FORBIDDEN_NAMES] == []


def test_nothing_sleeps_but_the_one_way_to_wait(modules: dict[Path, ast.Module]) -> None:
    sleeping = [f"{path}:{line}" for path, tree in modules.items() if path != MAY_SLEEP for line in _sleeps(tree)]

    assert sleeping == [], "wait for a condition (airproof.waiting.wait_until) or for an event with a timeout"


def test_no_test_only_looks_whether_an_attribute_exists(modules: dict[Path, ast.Module]) -> None:
    tests = {path: tree for path, tree in modules.items() if path.name.startswith("test_") and path.parts[0] != "tests"}
    looking = [
        f"{path}:{node.lineno}"
        for path, tree in tests.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and _calls_hasattr(node.test)
    ]

    assert looking == [], "test what it does"


def test_no_conftest_is_a_store_of_everything(modules: dict[Path, ast.Module]) -> None:
    conftests = {str(path): tree for path, tree in modules.items() if path.name == "conftest.py"}
    fixtures = {path: sum(map(_is_fixture, tree.body)) for path, tree in conftests.items()}

    assert {path: count for path, count in fixtures.items() if count > MOST_FIXTURES} == {}


def _sleeps(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "sleep":
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and "sleep" in {alias.name for alias in node.names}:
            yield node.lineno


def _calls_hasattr(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr"


def _is_fixture(node: ast.stmt) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    return any("fixture" in ast.unparse(decorator) for decorator in decorators)
