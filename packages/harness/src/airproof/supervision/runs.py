"""Where runs live on disk: the user's runtime directory, with a directory per run and a label locked while it lives.

```
<runtime>/openings/<label>   locked while somebody looks for a kept run of that label, or makes one
<runtime>/runs/<id>/label    JSON, locked by the supervisor as long as it lives
                   /socket   clients connect here
                   /undo     undo commands not yet run
                   /logs/<group>/<node>.log, supervisor.log
```
The runtime directory is `$AIRPROOF_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/airproof`, else `airproof-<uid>` under
`$TMPDIR` or `/tmp`. What processes store goes to `roots`: in memory, else on disk. Ports are locked where all runs of a
user see it, whatever their runtime directory (`ports_directory`).
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from airproof.errors import ProviderUnavailable, SupervisorGone

OWNER_VARIABLE = "AIRPROOF_RUN"
"""Set to the run's id in everything a supervisor starts, and only there: survivors are killed by it."""

MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's name; what is made in it is checked for its owner


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its label file describes it.

    Attributes:
        roots: directories for data, the preferred one first; not made before they are needed.
    """

    id: str
    label: str
    keep: bool
    directory: Path
    roots: tuple[Path, ...]

    @property
    def label_file(self) -> Path:
        """Locked by the supervisor while it lives."""
        return self.directory / "label"

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.directory / "socket"

    @property
    def log(self) -> Path:
        """What the supervisor itself has to say."""
        return self.directory / "supervisor.log"

    @property
    def undo_file(self) -> Path:
        """The undo commands that have not been run."""
        return self.directory / "undo"

    def log_path(self, name: str) -> Path:
        """The log of a process."""
        return self.log_path_in(self.directory, name)

    @staticmethod
    def log_path_in(directory: Path, name: str) -> Path:
        """The log of a process, given the run directory."""
        return directory / "logs" / f"{name}.log"

    def open_log(self, name: str) -> BinaryIO:
        """The log of a process, to be appended to."""
        path = self.log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")

    def log_tail(self, name: str, lines: int = 10) -> str:
        """The last lines of a process's log, as the end of an error message."""
        path = self.log_path(name)
        written = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
        return f"Last lines of {path}:\n" + "\n".join(written) if written else f"It logged nothing to {path}"

    def write(self) -> int:
        """Writes the label and returns the locked file's descriptor, to be handed to the supervisor.

        A sweeper that looks in between sees an empty file and leaves it alone.
        """
        descriptor = os.open(self.label_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        data = {**asdict(self), "directory": str(self.directory), "roots": [str(root) for root in self.roots]}
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(data).encode())
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    @classmethod
    def read(cls, directory: Path) -> Run:
        """The run of that directory.

        Raises:
            SupervisorGone: there is no readable label.
        """
        try:
            data = json.loads((directory / "label").read_text())
            roots = tuple(Path(root) for root in data["roots"])
            return cls(**{**data, "directory": directory, "roots": roots})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SupervisorGone(f"no run in {directory}: its supervisor has ended") from error


def new_run(label: str, *, keep: bool) -> Run:
    """Makes the directory of a new run."""
    runtime = runtime_directory()
    disk = _disk_directory(runtime)
    while True:
        identity = os.urandom(4).hex()
        directory = runtime / "runs" / identity
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        roots = [MEMORY / f"airproof-{os.getuid()}" / identity] if os.access(MEMORY, os.W_OK) else []
        return Run(identity, label, keep, directory, (*roots, disk / "data" / identity))


def list_runs() -> Iterator[Path]:
    """The directories of all runs of this user, alive or dead."""
    runs = runtime_directory() / "runs"
    if runs.is_dir():
        yield from sorted(runs.iterdir())


def is_alive(run: Run) -> bool:
    """Whether a supervisor holds the label."""
    try:
        descriptor = os.open(run.label_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def find_kept(label: str) -> Run | None:
    """The living kept run of that label; the lowest id if there are several."""
    for directory in list_runs():
        try:
            run = Run.read(directory)
        except SupervisorGone:
            continue
        if run.keep and run.label == label and is_alive(run):
            return run
    return None


@contextmanager
def one_at_a_time(label: str) -> Iterator[None]:
    """Waits until no other process of this user looks for a kept run of that label, or makes one."""
    directory = runtime_directory() / "openings"
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory / label.encode().hex(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def runtime_directory() -> Path:
    """The user's runtime directory, made if need be.

    A chosen directory that is there and open to others, such as `/tmp`, is left as it is; `airproof-<uid>` in it is
    used.

    Raises:
        ProviderUnavailable: it cannot be made, or belongs to somebody else.
    """
    chosen = os.environ.get("AIRPROOF_RUNTIME_DIR")
    if chosen:
        place = Path(chosen).expanduser().resolve()
        return secure_directory(place / _our_name() if _is_open_to_others(place) else place)
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and os.access(session, os.W_OK):
        return secure_directory(Path(session) / "airproof")
    return secure_directory(_temporary_directory())


def ports_directory(runtime: Path) -> Path:
    """Has a file per port, locked by the run that has the port: if possible one directory for all runs of this user."""
    try:
        return secure_directory(secure_directory(_temporary_directory()) / "ports")
    except ProviderUnavailable:
        return runtime / "ports"


def secure_directory(path: Path) -> Path:
    """Makes a directory that only this user can use, or checks that it is one.

    Raises:
        ProviderUnavailable: it is not and cannot be made so.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ProviderUnavailable(
            f"cannot make {path}: {error.strerror}; set AIRPROOF_RUNTIME_DIR to another place"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ProviderUnavailable(
            f"{path} belongs to uid {found.st_uid} and not to you ({os.getuid()}), or is no directory; "
            "remove it or set AIRPROOF_RUNTIME_DIR to another place"
        )
    if found.st_mode & 0o066:
        path.chmod(0o700)
    return path


def _disk_directory(runtime: Path) -> Path:
    """Where data goes that has no room in memory: not the session's directory, which is in memory and small."""
    return runtime if os.environ.get("AIRPROOF_RUNTIME_DIR") else secure_directory(_temporary_directory())


def _temporary_directory() -> Path:
    """Not `tempfile.gettempdir`: that moves to another place when the disk is full, and no run would be found again."""
    return Path(os.environ.get("TMPDIR") or "/tmp").absolute() / _our_name()  # noqa: S108 - checked for its owner


def _our_name() -> str:
    return f"airproof-{os.getuid()}"


def _is_open_to_others(place: Path) -> bool:
    return place.is_dir() and bool(place.stat().st_mode & 0o077)
