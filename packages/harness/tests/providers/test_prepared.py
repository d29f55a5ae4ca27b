from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airproof.errors import CacheError
from airproof.providers.native import prepared
from airproof.providers.native.prepared import Cache, content_key


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", tmp_path / "private")


class Builds:
    """Writes a small tree and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Path) -> None:
        self.count += 1
        (target / "deep").mkdir()
        (target / "deep" / "data").write_text("a thousand words")
        (target / "control").write_text("sealed")


@pytest.fixture
def build() -> Builds:
    return Builds()


@pytest.fixture
def make_read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a directory read-only for this very user: by its mode, or for root, whom modes do not stop, by a mount."""
    mounted: list[Path] = []

    def make(path: Path) -> None:
        if os.getuid() != 0:
            path.chmod(0o555)
            return
        bound = subprocess.run(["mount", "--bind", str(path), str(path)], capture_output=True, check=False)
        if bound.returncode != 0:
            pytest.skip("root cannot mount here")
        mounted.append(path)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)

    yield make
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


def test_an_entry_is_built_once(cache: Cache, build: Builds) -> None:
    first = cache.provide("things", "k", build)
    second = cache.provide("things", "k", build)
    assert first == second == cache.find("things", "k")
    assert (first / "deep" / "data").read_text() == "a thousand words"
    assert build.count == 1


def test_what_is_made_from_something_else_is_another_entry(cache: Cache, build: Builds) -> None:
    assert content_key("15.18", "schema") != content_key("15.1", "8schema")
    assert cache.provide("things", "a", build) != cache.provide("things", "b", build)


def truncate(entry: Path) -> None:
    (entry / "content" / "deep" / "data").write_text("a thousand")


def lose_a_file(entry: Path) -> None:
    (entry / "content" / "deep" / "data").unlink()


def gain_a_file(entry: Path) -> None:
    (entry / "content" / "core").touch()


def change_what_is_sealed(entry: Path) -> None:
    (entry / "content" / "control").write_text("SEALED")


def truncate_the_manifest(entry: Path) -> None:
    manifest = entry / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:20])


def empty_the_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_text("[]")


def lose_the_content(entry: Path) -> None:
    shutil.rmtree(entry / "content")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        lose_a_file,
        gain_a_file,
        change_what_is_sealed,
        truncate_the_manifest,
        empty_the_manifest,
        lose_the_content,
    ],
)
def test_a_damaged_entry_is_built_again(cache: Cache, build: Builds, damage: Callable[[Path], None]) -> None:
    entry = cache.provide("things", "k", build, hashed=["control"]).parent
    damage(entry)
    assert cache.find("things", "k") is None
    again = cache.provide("things", "k", build, hashed=["control"])
    assert (again / "deep" / "data").read_text() == "a thousand words"
    assert build.count == 2
    assert [path.name for path in entry.parent.iterdir() if path.is_dir()] == ["k"]


def test_a_build_that_fails_leaves_nothing(cache: Cache, build: Builds) -> None:
    def fail(target: Path) -> None:
        build(target)
        raise CacheError("no luck")

    with pytest.raises(CacheError, match="no luck"):
        cache.provide("things", "k", fail)
    assert [path for path in (cache.root / "things").iterdir() if path.is_dir()] == []
    assert cache.provide("things", "k", build)


def test_of_two_builders_one_builds_and_the_other_waits(cache: Cache, build: Builds) -> None:
    building, go_on = threading.Event(), threading.Event()

    def slowly(target: Path) -> None:
        building.set()
        go_on.wait(10)
        build(target)

    first = threading.Thread(target=cache.provide, args=("things", "k", slowly))
    first.start()
    assert building.wait(10)
    found: list[Path] = []
    second = threading.Thread(target=lambda: found.append(cache.provide("things", "k", build)))
    second.start()
    second.join(0.1)
    assert second.is_alive()
    go_on.set()
    first.join(10)
    second.join(10)
    assert build.count == 1
    assert found == [cache.root / "things" / "k" / "content"]


def test_what_a_killed_removal_left_goes_with_the_next_build(cache: Cache, build: Builds) -> None:
    left = cache.root / "things" / ".removing-old-1"
    left.mkdir(parents=True)
    cache.provide("things", "k", build)
    assert not left.exists()


def test_what_a_killed_builder_left_goes_with_the_next_build_of_another(cache: Cache, build: Builds) -> None:
    left = cache.root / "things" / ".building-old"
    left.mkdir(parents=True)
    cache.provide("things", "k", build)
    assert not left.exists()


def test_who_builds_now_is_left_alone(cache: Cache, build: Builds) -> None:
    def build_beside_another(directory: Path) -> None:
        build(directory)
        cache.provide("things", "other", build)

    entry = cache.provide("things", "k", build_beside_another)
    assert entry == cache.root / "things" / "k" / "content"


def test_what_a_killed_builder_left_is_no_obstacle(cache: Cache, build: Builds) -> None:
    left = cache.root / "things" / ".building-k" / "content"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert not (cache.provide("things", "k", build) / "half").exists()


def test_a_read_only_cache_is_read_and_what_it_lacks_is_built_elsewhere(
    cache: Cache, build: Builds, make_read_only: Callable[[Path], None]
) -> None:
    there = cache.provide("things", "there", build)
    make_read_only(cache.root)
    assert cache.provide("things", "there", build) == there
    assert cache.notes == []
    elsewhere = cache.provide("things", "missing", build)
    assert elsewhere.is_relative_to(cache.private)
    assert cache.provide("things", "missing", build) == elsewhere
    cache.provide("things", "another", build)
    assert len(cache.notes) == 1
    assert f"{cache.root} is read-only" in cache.notes[0]


def test_a_damaged_entry_of_a_read_only_cache_is_built_elsewhere(
    cache: Cache, build: Builds, make_read_only: Callable[[Path], None]
) -> None:
    truncate(cache.provide("things", "k", build).parent)
    make_read_only(cache.root)
    assert cache.provide("things", "k", build).is_relative_to(cache.private)


def test_a_full_disk_is_one_clear_line(small_disk: Path, tmp_path: Path) -> None:
    cache = Cache(small_disk / "cache", tmp_path / "private")
    with pytest.raises(CacheError) as raised:
        cache.provide("things", "k", lambda target: _write(target / "big", 2 * 2**20))
    assert str(raised.value) == f"no space left in {cache.root}; free some, or set AIRPROOF_CACHE to another disk"
    assert cache.find("things", "k") is None


def _write(path: Path, size: int) -> None:
    path.write_bytes(b"x" * size)


def test_too_little_space_is_said_before_the_work(small_disk: Path, build: Builds, tmp_path: Path) -> None:
    cache = Cache(small_disk / "cache", tmp_path / "private")
    with pytest.raises(CacheError, match=r"^no space to prepare things in .*: 50 MB needed, \d+ MB free; free some"):
        cache.provide("things", "k", build, needs_bytes=50 * 2**20)
    assert build.count == 0


def test_a_cache_that_cannot_be_a_directory_is_one_clear_line(tmp_path: Path, build: Builds) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache", tmp_path / "private")
    with pytest.raises(CacheError, match=r"^cannot write the cache .*AIRPROOF_CACHE"):
        cache.provide("things", "k", build)


def test_the_entries_used_longest_ago_make_room(cache: Cache, build: Builds) -> None:
    for number in range(prepared.KEPT_ENTRIES_PER_KIND):
        entry = cache.provide("things", f"k{number}", build).parent
        os.utime(entry, (number, number))
    cache.provide("things", "k0", build)
    cache.provide("things", "new", build)
    assert cache.find("things", "k0")
    assert cache.find("things", "new")
    assert cache.find("things", "k1") is None


def test_the_manifest_names_sizes_and_seals(cache: Cache, build: Builds) -> None:
    entry = cache.provide("things", "k", build, hashed=["control"]).parent
    manifest = json.loads((entry / "manifest.json").read_text())
    assert manifest["sizes"] == {"control": 6, "deep/data": 16}
    assert set(manifest["sealed"]) == {"control"}
