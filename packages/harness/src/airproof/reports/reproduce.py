"""The one line that runs a test again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

_KEYWORD = re.compile(r"[\w:+\-.\[\]\\/]+")
"""What pytest's `-k` takes as one word."""


def command(
    nodeid: str,
    *,
    environment: str,
    options: Sequence[str] = (),
    seed: int,
    session: str | None,
    rootdir: Path,
    invoked_in: Path,
) -> str:
    """A command to be typed where the run was started.

    Args:
        environment: its name or file.
        options: of the plugin, beside the environment and the seed.
        session: the nox session that the run belongs to; it names the environment itself.
    """
    arguments = [*_selection(nodeid, rootdir, invoked_in), "--airproof-seed", str(seed), *options]
    words = ["nox", "-s", session, "--"] if session else ["pytest", f"--airproof-env={environment}"]
    return shlex.join(words + arguments)


def _selection(nodeid: str, rootdir: Path, invoked_in: Path) -> list[str]:
    """The test's id where it can be typed; an installed suite's test is found by its name."""
    file, _, name = nodeid.partition("::")
    installed = ".." in Path(file).parts or "site-packages" in file
    if rootdir == invoked_in and not installed:
        return [nodeid]
    last = name.rpartition("::")[2]
    keyword = last if _KEYWORD.fullmatch(last) else last.partition("[")[0]
    package = next((part for part in Path(file).parts if part.startswith("airproof_")), None)
    return [*(["--pyargs", package] if package else []), "-k", keyword]
