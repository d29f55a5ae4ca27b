"""The page about a platform of one's own does what it says: its files, a real environment, a green test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

BLOCK = re.compile(r"^```(?:python|toml|yaml)\n# (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_what_the_page_shows_runs(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/testing/platforms.md").read_text(encoding="utf-8")
    files = {found["name"]: found["text"] for found in BLOCK.finditer(page)}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _register(tmp_path, files["pyproject.toml"])

    import_path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--airproof-env", "shop", "-rA"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": import_path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
    assert "Warning" not in run.stdout + run.stderr
    assert "An order whose commit nobody hears of can be put again" in (
        (tmp_path / "reports/shop/report.html").read_text(encoding="utf-8")
    )


def _register(directory: Path, pyproject: str) -> None:
    """Makes the package look installed, without asking a registry for what would build it."""
    groups = tomllib.loads(pyproject)["project"]["entry-points"]
    metadata = directory / "airproof_shop-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: airproof-shop\nVersion: 0.1\n", encoding="utf-8")
    lines = [f"[{group}]\n" + "".join(f"{name} = {to}\n" for name, to in one.items()) for group, one in groups.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
