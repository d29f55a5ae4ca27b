"""Copies of the reference platform with something changed. The installed platform is never touched.

An overlay is a directory that holds a package `pyairtable_reference`; an environment puts it first on the platform's
import path (`platform_path`), so that every service runs the changed code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from airproof.errors import DefectError

PACKAGE = "pyairtable_reference"
_HEADER = re.compile(r"^(?:---|\+\+\+) (?P<path>[^\t\n]+)", re.MULTILINE)


def installed_package() -> Path:
    """Where the reference platform's source is installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DefectError(f"{PACKAGE} is not installed; install the distribution pyairtable-reference")
    return Path(spec.origin).parent


def make_overlay(root: Path) -> Path:
    """Copies the reference platform below `root` and returns the copied package."""
    package = root / PACKAGE
    shutil.copytree(installed_package(), package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def apply_patch(patch: Path, root: Path) -> None:
    """Applies a unified diff, whichever directory its paths start from, to the overlay at `root`.

    Raises:
        DefectError: the file cannot be read, changes something else than the reference platform, or does not apply.
    """
    try:
        text = patch.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefectError(f"cannot read the patch {str(patch)!r}: {error}") from error
    git = shutil.which("git")
    if git is None:
        raise DefectError("a patch is applied with git, which is not installed; install git")
    command = [git, "apply", f"-p{_strip_level(text, patch)}", "--whitespace=nowarn", str(patch.resolve())]
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_DIR": os.devnull}
    # Counting lines anew forgives a patch edited by hand, but takes the next file's header for a deleted line.
    for options in ([], ["--recount"]):
        told = [*command, *options]
        result = subprocess.run(told, cwd=root, env=outside, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            break
    else:
        reason = result.stderr.strip().splitlines() or [f"git apply exited with {result.returncode}"]
        raise DefectError(
            f"{patch.name} does not apply to the reference platform: {reason[0]}; make it against this version"
        )


def _strip_level(text: str, patch: Path) -> int:
    """How many leading directories stand before the package in the patch's paths."""
    paths = [match["path"].strip() for match in _HEADER.finditer(text)]
    levels = set()
    for path in paths:
        if path == os.devnull:
            continue
        parts = path.split("/")
        if PACKAGE not in parts:
            raise DefectError(
                f"{patch.name} changes {path!r}, which is not part of the reference platform ({PACKAGE}/…)"
            )
        levels.add(parts.index(PACKAGE))
    if not levels:
        raise DefectError(f"{patch.name} holds no unified diff (no '---' and '+++' lines)")
    if len(levels) > 1:
        raise DefectError(f"{patch.name} names the package at different depths; make one diff from one directory")
    return levels.pop()
