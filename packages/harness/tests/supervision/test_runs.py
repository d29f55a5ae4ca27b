from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from airproof.errors import ProviderUnavailable
from airproof.supervision import Supervisor
from airproof.supervision.runs import ports_directory, runtime_directory, secure_directory


def test_a_runtime_directory_is_made_for_its_user_only(tmp_path: Path) -> None:
    made = secure_directory(tmp_path / "a" / "b")

    assert made.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_write_to_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    assert secure_directory(tmp_path).stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(tmp_path, 12345, 12345)
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(tmp_path))

    with pytest.raises(ProviderUnavailable, match=f"{tmp_path} belongs to uid 12345"):
        Supervisor.start(label="test")


def test_a_full_disk_is_one_clear_line(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(small_disk))
    (small_disk / "all").write_bytes(bytes(2**20))

    with pytest.raises(ProviderUnavailable, match=r"^cannot make a directory for the run: .*set AIRPROOF_RUNTIME_DIR"):
        Supervisor.start(label="test")


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(ProviderUnavailable, match="is no directory"):
        secure_directory(tmp_path / "link")


def test_the_session_s_directory_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRPROOF_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory() == tmp_path / "airproof"

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert runtime_directory().name == f"airproof-{os.getuid()}"


def test_a_relative_directory_is_that_of_whoever_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", "here")
    assert runtime_directory() == tmp_path / "here"


def test_a_chosen_directory_that_others_use_too_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(tmp_path))

    made = runtime_directory()

    assert made == runtime_directory() == tmp_path / f"airproof-{os.getuid()}"
    assert made.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_a_full_disk_does_not_move_the_runs(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AIRPROOF_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TMPDIR", str(small_disk))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (small_disk / "all").write_bytes(bytes(2**20))

    assert runtime_directory() == small_disk / f"airproof-{os.getuid()}"


def test_ports_are_locked_where_runs_with_another_runtime_directory_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ports_directory(tmp_path / "one") == ports_directory(tmp_path / "other")

    # Somebody else was there first.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"airproof-{os.getuid()}").symlink_to(tmp_path)
    assert ports_directory(tmp_path / "one") == tmp_path / "one" / "ports"


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRPROOF_RUNTIME_DIR", str(tmp_path / ("x" * 100)))

    with pytest.raises(ProviderUnavailable, match="shorter path"):
        Supervisor.start(label="test")
