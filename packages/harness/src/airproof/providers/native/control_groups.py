"""Control groups of the kernel, version 1 or 2: limits for a process and its descendants, where they may be made."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from airproof.errors import FaultUnsupported, NotReady, WaitTimeout
from airproof.supervision.kernel import process_tree
from airproof.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD_US = 100_000
_ROUNDS = 10
_GONE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A group below the one in which a process was.

    Attributes:
        version: 1 or 2.
        parent: where its processes go back to.
    """

    path: Path
    parent: Path
    version: int

    @classmethod
    def make(cls, controller: str, pid: int, name: str) -> ControlGroup:
        """A new group for the descendants of a process, which are moved into it.

        Raises:
            FaultUnsupported: this machine, or this user, cannot have one.
        """
        try:
            parent, version = group_of(controller, pid)
            made = cls(parent / name, parent, version)
            if version == 2:
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
            made.path.mkdir(exist_ok=True)
            made.take(pid)
        except OSError as error:
            raise FaultUnsupported(f"no control group for {controller} can be made here: {error}") from error
        return made

    def take(self, pid: int) -> int:
        """Moves a process and its descendants in, again for those that were forked meanwhile; how many there are."""
        for _ in range(_ROUNDS):
            missing = set(process_tree(pid)) - set(self.processes())
            for one in missing:
                _move(one, self.path)
            if not missing:
                break
        return len(self.processes())

    def processes(self) -> list[int]:
        """Who is in it."""
        return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]

    def limit_memory(self, room_bytes: int) -> int:
        """Allows so many bytes more than are counted now; returns how many that are in all."""
        used, _ = self._memory_files
        return self.allow_memory(int((self.path / used).read_text()) + room_bytes)

    def allow_memory(self, size_bytes: int) -> int:
        """Allows so many bytes in all; returns what the kernel made of it."""
        _, most = self._memory_files
        (self.path / most).write_text(str(size_bytes))
        return int((self.path / most).read_text())

    @property
    def _memory_files(self) -> tuple[str, str]:
        return ("memory.current", "memory.max") if self.version == 2 else _MEMORY_1

    def limit_cpu(self, share: float) -> None:
        """Allows so much of one core."""
        quota = max(1000, int(share * CPU_PERIOD_US))
        if self.version == 2:
            (self.path / "cpu.max").write_text(f"{quota} {CPU_PERIOD_US}")
        else:
            (self.path / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
            (self.path / "cpu.cfs_quota_us").write_text(str(quota))

    def counted(self) -> str:
        """How often the limit was met, as the kernel counted it."""
        for file, pattern, unit in _COUNTERS:
            if (self.path / file).exists() and (found := re.search(pattern, (self.path / file).read_text())):
                return f"{unit} {found[1]} times"
        return "not counted"

    def remove(self) -> None:
        """Moves its processes back and ends it, when the last one that was killed in it is gone.

        Raises:
            NotReady: it is still there.
        """
        try:
            wait_until(self._removed, timeout_s=_GONE_WITHIN_S, describe=f"control group {self.path} to be empty")
        except WaitTimeout as error:
            raise NotReady(f"the control group {self.path} is still there: {error}") from error

    def _removed(self) -> bool:
        try:
            for pid in self.processes():
                _move(pid, self.parent)
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise NotReady(f"the control group {self.path} cannot be removed: {error.strerror}") from error
            return False
        return True


_MEMORY_1 = ("memory.usage_in_bytes", "memory.limit_in_bytes")
_COUNTERS = (
    ("memory.failcnt", r"(\d+)", "memory was refused"),
    ("memory.events", r"\bmax (\d+)", "memory was refused"),
    ("cpu.stat", r"nr_throttled (\d+)", "throttled"),
)


def group_of(controller: str, pid: int) -> tuple[Path, int]:
    """The directory of the group that a process is in."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _, names, path in lines:
        if controller in names.split(","):
            return _existing(ROOT / names, path) if (ROOT / names).exists() else _existing(ROOT / controller, path), 1
    unified = next((path for _, names, path in lines if not names), "/")
    if controller not in (ROOT / "cgroup.controllers").read_text().split():
        raise FileNotFoundError(f"no controller {controller!r}")
    return _existing(ROOT, unified), 2


def _existing(mounted: Path, path: str) -> Path:
    """In a container the mount may show only what is below the container's own group."""
    inside = mounted / path.lstrip("/")
    return inside if inside.exists() else mounted


def _move(pid: int, group: Path) -> None:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return
