from __future__ import annotations

import os
from pathlib import Path

import pytest

from airproof.supervision import kernel


@pytest.mark.skipif(not kernel.LINUX, reason="no /proc")
def test_a_process_that_the_kernel_hides_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def read_own(path: Path) -> bytes:
        if path == Path("/proc/1/stat"):
            raise PermissionError(1, "Operation not permitted")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_own)

    seen = {pid for pid, _, _ in kernel.process_table()}

    assert os.getpid() in seen
    assert 1 not in seen
