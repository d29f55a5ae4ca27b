"""For all tests of the harness."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# An example may take long, because the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; needs root."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("only root can mount")
    try:
        yield mounted
    finally:
        if subprocess.run(["umount", str(mounted)], check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            pytest.fail(f"a file of {mounted} is still open")
