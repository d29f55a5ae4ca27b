"""The names that suites and drivers build on do not change by accident.

`python tests/test_public_names.py` writes them anew; the change of `public-names.txt` is then part of the review.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "packages" / "harness" / "src"
PUBLIC = (
    "cells/__init__.py",
    "checkers/*.py",
    "environment/capabilities.py",
    "environment/topology.py",
    "errors.py",
    "faults/*.py",
    "history/__init__.py",
    "platform/*.py",
    "providers/protocol.py",
    "waiting.py",
)
LIST = Path(__file__).parent / "public-names.txt"


def test_public_names_change_on_purpose_only() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()

    gone, new = set(listed) - set(public_names()), set(public_names()) - set(listed)

    assert not gone, "names that suites or drivers may use are gone; if they may go: python tests/test_public_names.py"
    assert not new, "names are new; if suites and drivers may use them: python tests/test_public_names.py"


def public_names() -> list[str]:
    """`module.name` of everything public, in order."""
    files = sorted(path for pattern in PUBLIC for path in (SOURCE / "airproof").glob(pattern))
    return [f"{_module(path)}.{name}" for path in files for name in sorted(set(_names(ast.parse(path.read_text()))))]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _public(node.name)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from ast.literal_eval(node.value)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from _public(ast.unparse(target))


def _public(name: str) -> Iterator[str]:
    if name.isidentifier() and not name.startswith("_"):
        yield name


if __name__ == "__main__":
    LIST.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
