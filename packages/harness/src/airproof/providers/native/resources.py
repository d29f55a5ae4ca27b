"""Limits on what the processes of a native cell may use; implements `ResourceControl`.

Processor and memory by control groups where they can be made, memory otherwise by a limit of the address space; open
files and sizes of files by limits of the processes (`prlimit`). A node that is started again starts without them.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from airproof.environment.capabilities import Limit, Resource
from airproof.environment.topology import CellDescription, Role
from airproof.errors import FaultUnsupported, NotReady
from airproof.providers.native.control_groups import ControlGroup
from airproof.supervision import Supervisor
from airproof.supervision.kernel import LINUX, process_tree

_RLIMITS = {
    Resource.MEMORY: resource.RLIMIT_AS,
    Resource.OPEN_FILES: resource.RLIMIT_NOFILE,
    Resource.FILE_SIZE: resource.RLIMIT_FSIZE,
}
_REMOVE = '[ ! -d "$1" ] || rmdir "$1"'


class NativeResources:
    """Limits of the nodes of one cell."""

    def __init__(self, supervisor: Supervisor, cell: CellDescription, names: Mapping[str, str]) -> None:
        self._supervisor = supervisor
        self._cell = cell
        self._names = names
        self._lift: dict[Limit, Callable[[], str]] = {}

    def limit(self, node: str, what: Resource, amount: float) -> Limit:
        """Puts a limit on a node's processes and reads it back."""
        pid = self._pid(node, what)
        if what is Resource.CPU:
            return self._by_group(node, what, pid, lambda group: self._cpu(group, amount))
        if what is Resource.MEMORY:
            try:
                return self._by_group(node, what, pid, lambda group: _memory(group, int(amount)))
            except FaultUnsupported:
                return self._by_rlimit(node, what, pid, lambda one: _address_space(one) + int(amount))
        if what is Resource.OPEN_FILES:
            return self._by_rlimit(node, what, pid, lambda one: _open_files(one) + int(amount))
        return self._by_rlimit(node, what, pid, lambda _: int(amount))

    def lift(self, limit: Limit) -> str:
        """Takes a limit away and says what was seen."""
        lift = self._lift.pop(limit, None)
        return lift() if lift else f"{limit.node} was without it already"

    def _pid(self, node: str, what: Resource) -> int:
        if not LINUX:
            raise FaultUnsupported(f"cannot limit {what.value} of {node!r}: this needs Linux")
        if self._cell.node(node).role is Role.KAFKA and not self._cell.private_broker:
            raise FaultUnsupported(
                f"cannot limit {what.value} of {node!r}: other cells use it too;"
                " mark the test with `private_broker` to have its own"
            )
        return self._supervisor.pid(self._names[node])

    def _by_group(self, node: str, what: Resource, pid: int, put: Callable[[ControlGroup], str]) -> Limit:
        name = f"airproof-{self._names[node].replace('/', '.')}-{what.value}"
        group = ControlGroup.make(what.value, pid, name)
        undo = ("sh", "-c", _REMOVE, "sh", str(group.path))
        self._supervisor.on_release(self._names[node].partition("/")[0], undo)
        try:
            means = f"{put(group)} for {len(group.processes())} processes, control group v{group.version}"
        except OSError as error:
            group.remove()
            raise FaultUnsupported(f"the kernel does not take this limit of {what.value}: {error}") from error
        limit = Limit(node, what, means)
        self._lift[limit] = lambda: _remove(node, group)
        return limit

    @staticmethod
    def _cpu(group: ControlGroup, share: float) -> str:
        group.limit_cpu(share)
        return f"{share:g} of one core"

    def _by_rlimit(self, node: str, what: Resource, pid: int, value: Callable[[int], int]) -> Limit:
        number = _RLIMITS[what]
        before: dict[int, tuple[int, int]] = {}
        chosen: set[int] = set()
        for one in process_tree(pid):
            try:
                before[one] = resource.prlimit(one, number)
                soft = value(one)
                resource.prlimit(one, number, (soft, before[one][1]))
                chosen.add(resource.prlimit(one, number)[0])
            except ProcessLookupError:
                before.pop(one, None)
            except (PermissionError, ValueError) as error:
                raise FaultUnsupported(f"the kernel does not take this limit of {what.value}: {error}") from error
        if not chosen:
            raise NotReady(f"{node} has exited, so nothing can be limited")
        numbers = f"{min(chosen)}" if len(chosen) == 1 else f"{min(chosen)} to {max(chosen)}"
        limit = Limit(node, what, f"{_unit(what, numbers)} for each of {len(before)} processes, prlimit")
        self._lift[limit] = lambda: _restore(node, pid, number, before)
        return limit


def _memory(group: ControlGroup, room_bytes: int) -> str:
    return f"{group.limit_memory(room_bytes)} bytes"


def _unit(what: Resource, numbers: str) -> str:
    return {Resource.MEMORY: f"{numbers} bytes of address space", Resource.OPEN_FILES: f"{numbers} open files"}.get(
        what, f"{numbers} bytes in a file (EFBIG beyond)"
    )


def _remove(node: str, group: ControlGroup) -> str:
    counted = group.counted() if group.path.exists() else "not counted"
    group.remove()
    return f"{node} is without the limit; {counted}"


def _restore(node: str, root: int, number: int, before: Mapping[int, tuple[int, int]]) -> str:
    """Gives every process its own limit back, and those that were forked meanwhile that of the first."""
    usual = next(iter(before.values()))
    living = process_tree(root)
    for pid in living:
        try:
            resource.prlimit(pid, number, before.get(pid, usual))
        except ProcessLookupError:
            continue
    left = [pid for pid in process_tree(root) if resource.prlimit(pid, number) != before.get(pid, usual)]
    if left:
        raise NotReady(f"processes {left} of {node} still have the limit")
    return f"{node} is without the limit: {len(living)} processes looked at"


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - a count, ten times as fast


def _address_space(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
