"""Every distribution declares what it imports, says that it is typed, and is known to the tools."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

Projects = dict[str, dict[str, Any]]


def test_every_import_is_declared(projects: Projects, modules: dict[Path, ast.Module]) -> None:
    providers = {**packages_distributions(), **_ours(projects)}
    undeclared = []
    for folder, project in projects.items():
        declared = _declared(project["project"])
        source = Path("packages") / folder / "src"
        for path, tree in modules.items():
            if not path.is_relative_to(source):
                continue
            own = path.relative_to(source).parts[0]
            for name, line in _imports(tree):
                # What is not installed, as an extra may be, is taken to be called as it is imported.
                distributions = {_normal(found) for found in providers.get(name, [name])}
                if name not in {own, *sys.stdlib_module_names} and not distributions & declared:
                    undeclared.append(f"{path}:{line}: {name}")

    assert undeclared == [], "add the distribution to the dependencies, or an extra, of the package's pyproject.toml"


def test_every_package_is_typed(root: Path, projects: Projects) -> None:
    untyped = [folder for folder in projects if not list(root.glob(f"packages/{folder}/src/*/py.typed"))]

    assert untyped == []


def test_packages_are_alike(projects: Projects) -> None:
    for folder, content in projects.items():
        project = content["project"]
        assert content["build-system"]["build-backend"] == "hatchling.build", folder
        assert (project["requires-python"], project["license"]) == (">=3.11", "MIT"), folder
        unbounded = [
            text for text in project["dependencies"] if not re.search(r">=", text) and not _is_ours(text, projects)
        ]
        assert unbounded == [], f"{folder}: give a lower bound"


def test_the_tools_know_every_package(root: Path, projects: Projects) -> None:
    workspace = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    tox = tomllib.loads((root / "tox.toml").read_text(encoding="utf-8"))
    imports = {path.name for path in root.glob("packages/*/src/*") if (path / "__init__.py").is_file()}
    in_tox = {text.partition("[")[0].removeprefix("-e packages/") for text in tox["env_run_base"]["deps"]}

    assert in_tox == set(projects)
    assert {f"packages/{folder}/src" for folder in projects} <= set(workspace["tool"]["mypy"]["mypy_path"])
    assert set(workspace["tool"]["importlinter"]["root_packages"]) == imports


def _declared(project: dict[str, Any]) -> set[str]:
    extras = [text for texts in project.get("optional-dependencies", {}).values() for text in texts]
    return {_normal(re.split(r"[\s\[<>=!~;]", text)[0]) for text in [*project["dependencies"], *extras]}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_ours(requirement: str, projects: Projects) -> bool:
    return _normal(requirement) in {_normal(content["project"]["name"]) for content in projects.values()}


def _ours(projects: Projects) -> dict[str, list[str]]:
    """Import names to distributions; those installed for editing do not say it themselves."""
    return {
        Path(package).name: [content["project"]["name"]]
        for content in projects.values()
        for package in content["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    }


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno
