"""For all tests of the harness."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# An example may take long, because the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 1 MB; needs root. pytest's tmp_path is too long for sockets."""
    mounted = Path(tempfile.mkdtemp(prefix="airproof-test-"))
    options = "size=1m,mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)], capture_output=True, check=False
    )
    try:
        if done.returncode != 0:
            pytest.skip("only root can mount")
        yield mounted
        if subprocess.run(["umount", str(mounted)], check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            pytest.fail(f"a file of {mounted} is still open")
    finally:
        mounted.rmdir()
