"""The cache of prepared directories: downloaded jars, migrated database clusters, start archives.

An entry is addressed by what it was made from, built aside and renamed into place, so it is there whole or not at all.
Its manifest holds the size of every file and the SHA-256 of the few that everything hangs on; an entry that no longer
agrees with its manifest is thrown away and built again. Nothing is synced to disk: a machine that lost power loses at
most an entry, which the manifest shows.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

import platformdirs

from airproof.errors import CacheError
from airproof.waiting import wait_until

CACHE_VARIABLE = "AIRPROOF_CACHE"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
BUILDING_TIMEOUT_S = 600.0
KEPT_ENTRIES_PER_KIND = 8
MANIFEST = "manifest.json"
CONTENT = "content"
_BUILDING = ".building-"

Build = Callable[[Path], None]


def content_key(*parts: str) -> str:
    """A short name for what an entry is made from."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:20]


def cache_root() -> Path:
    """Where the cache lies: `AIRPROOF_CACHE`, else the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_cache_dir("airproof"))


class Cache:
    """Prepared directories by kind and key; safe to use by several threads and runs at the same time.

    Attributes:
        root: where entries are kept.
        private: where entries are built when `root` cannot be written; a directory that goes away with the run.
        notes: what the reader of the run should know, such as that the cache is read-only.
    """

    def __init__(self, root: Path, private: Path) -> None:
        self.root = root
        self.private = private
        self.notes: list[str] = []

    def find(self, kind: str, key: str) -> Path | None:
        """The entry's directory if it is there and whole."""
        for root in (self.root, self.private):
            entry = root / kind / key
            if is_whole(entry):
                return entry / CONTENT
        return None

    def provide(self, kind: str, key: str, build: Build, *, hashed: Sequence[str] = (), needs_bytes: int = 0) -> Path:
        """The entry's directory, built by `build` in an empty directory where it is missing or damaged.

        Args:
            hashed: the files, relative to the entry, whose content is sealed too.
            needs_bytes: the space that must be free before the build starts.

        Raises:
            CacheError: there is no space, or the entry cannot be written.
        """
        found = self.find(kind, key)
        if found is not None:
            with suppress(OSError):  # a read-only cache need not know what was used last
                os.utime(found.parent)
            return found
        try:
            return self._build(self._writable_root(), kind, key, build, hashed, needs_bytes)
        except OSError as error:
            raise _cache_error(error, self.root) from error

    def discard(self, kind: str, key: str) -> None:
        """Removes an entry."""
        _remove_aside(self.root / kind / key)

    def _writable_root(self) -> Path:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            note = f"the cache {self.root} is read-only ({error.strerror}); what it lacks is made anew in every run"
            if note not in self.notes:
                self.notes.append(note)
            return self.private
        return self.root

    def _build(self, root: Path, kind: str, key: str, build: Build, hashed: Sequence[str], needs_bytes: int) -> Path:
        entry = root / kind / key
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _locked(_lock_file(entry.parent, key), f"another run to prepare {kind}/{key}"):
            if is_whole(entry):
                return entry / CONTENT
            _remove_aside(entry)
            _demand_space(root, kind, needs_bytes)
            aside = entry.parent / f"{_BUILDING}{key}"
            shutil.rmtree(aside, ignore_errors=True)
            try:
                (aside / CONTENT).mkdir(parents=True)
                build(aside / CONTENT)
                (aside / MANIFEST).write_text(json.dumps(_manifest(aside / CONTENT, hashed)))
                aside.rename(entry)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            _prune(entry.parent, keep=entry.name)
        return entry / CONTENT


def is_whole(entry: Path) -> bool:
    """Whether the entry agrees with its manifest: the same files, the same sizes, the same sealed content."""
    try:
        manifest = json.loads((entry / MANIFEST).read_bytes())
        sizes, sealed = manifest["sizes"], manifest["sealed"]
        whole = dict(_sizes(entry / CONTENT)) == sizes and all(
            _sha256(entry / CONTENT / name) == digest for name, digest in sealed.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return whole


def _manifest(content: Path, hashed: Sequence[str]) -> dict[str, dict[str, int] | dict[str, str]]:
    return {"sizes": dict(_sizes(content)), "sealed": {name: _sha256(content / name) for name in hashed}}


def _sizes(directory: Path) -> Iterator[tuple[str, int]]:
    pending = [(str(directory), "")]
    while pending:
        path, prefix = pending.pop()
        with os.scandir(path) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    pending.append((item.path, f"{prefix}{item.name}/"))
                else:
                    yield prefix + item.name, item.stat(follow_symlinks=False).st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lock_file(kind: Path, key: str) -> Path:
    return kind / f".{key}.lock"


@contextmanager
def _locked(path: Path, describe: str) -> Iterator[None]:
    with path.open("w") as file:
        wait_until(lambda: _try_lock(file.fileno()), timeout_s=BUILDING_TIMEOUT_S, describe=describe)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _demand_space(root: Path, kind: str, needs_bytes: int) -> None:
    free = shutil.disk_usage(root).free
    if free < needs_bytes:
        raise CacheError(
            f"no space to prepare {kind} in {root}: {needs_bytes // 2**20} MB needed, {free // 2**20} MB free; "
            f"free some, or set {CACHE_VARIABLE} to another disk"
        )


def _cache_error(error: OSError, root: Path) -> CacheError:
    if error.errno in FULL:
        return CacheError(f"no space left in {root}; free some, or set {CACHE_VARIABLE} to another disk")
    return CacheError(
        f"cannot write the cache {root}: {error}; set {CACHE_VARIABLE} to a directory that can be written"
    )


def _remove_aside(entry: Path) -> None:
    """Renames first, so that nobody finds half an entry."""
    aside = entry.parent / f".removing-{entry.name}-{os.getpid()}"
    try:
        entry.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside)


def _prune(kind: Path, *, keep: str) -> None:
    """Removes the entries that were used longest ago, so that changing schemas do not fill the disk.

    What a killed removal or a killed build left behind goes too.
    """
    for left in kind.glob(".removing-*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in kind.glob(f"{_BUILDING}*"):
        with _lock_file(kind, left.name.removeprefix(_BUILDING)).open("w") as lock:
            if _try_lock(lock.fileno()):
                shutil.rmtree(left, ignore_errors=True)
    entries = [entry for entry in kind.iterdir() if not entry.name.startswith(".") and entry.name != keep]
    for entry in sorted(entries, key=_last_used, reverse=True)[KEPT_ENTRIES_PER_KIND - 1 :]:
        _remove_aside(entry)


def _last_used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # another run makes room too
        return 0.0
