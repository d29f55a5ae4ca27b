"""Faults of resources: memory, processor time, open files and room on the disk run short for a node.

Which means the provider took is in the evidence: a control group where one can be made, a limit of the processes
otherwise. A node that is killed meanwhile comes back without the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from airproof.environment.capabilities import Limit, Resource
from airproof.errors import FaultNotHealed, FaultUnsupported, NotReady
from airproof.faults.targets import Target
from airproof.history import Explanation

SMALL_FILE_BYTES = 2**20
"""PostgreSQL of a cell can go on with its log in files of this size, and cannot let a table grow beyond it."""


@contextmanager
def short_memory(
    target: Target, node: str, *, room_bytes: int, explains: Iterable[Explanation] = ()
) -> Iterator[Limit]:
    """The node may use so many bytes more than it does now. In a control group the kernel kills it when it wants more;
    by a limit of the address space its allocations fail.

    Raises:
        FaultUnsupported: the provider cannot limit memory.
        FaultNotHealed: the limit is still there.
    """
    killed = Explanation(node, exits=True, because="it had no memory left, on purpose")
    yield from _limited(target, node, Resource.MEMORY, room_bytes, (killed, *explains))


@contextmanager
def short_cpu(target: Target, node: str, *, share: float, explains: Iterable[Explanation] = ()) -> Iterator[Limit]:
    """The node gets so much of one core.

    Raises:
        FaultUnsupported: no control group for it can be made here.
        FaultNotHealed: the limit is still there.
    """
    yield from _limited(target, node, Resource.CPU, share, explains)


@contextmanager
def short_open_files(
    target: Target, node: str, *, room: int = 0, explains: Iterable[Explanation] = ()
) -> Iterator[Limit]:
    """Each process of the node may open so many files and connections more than it has open now.

    Raises:
        FaultUnsupported: the provider cannot limit open files.
        FaultNotHealed: the limit is still there.
    """
    yield from _limited(target, node, Resource.OPEN_FILES, room, explains)


@contextmanager
def full_disk(
    target: Target, node: str, *, largest_bytes: int = SMALL_FILE_BYTES, explains: Iterable[Explanation] = ()
) -> Iterator[Limit]:
    """No file that the node writes may grow beyond a size: the write fails, with "too large" instead of "no space".

    Cells lie on a filesystem that they share, which must not be filled; so this is a limit of the processes.

    Raises:
        FaultUnsupported: the provider cannot limit files.
        FaultNotHealed: the limit is still there.
    """
    yield from _limited(target, node, Resource.FILE_SIZE, largest_bytes, explains)


def _limited(
    target: Target, node: str, what: Resource, amount: float, explains: Iterable[Explanation]
) -> Iterator[Limit]:
    resources = target.capabilities.resources
    if resources is None:
        raise FaultUnsupported(f"cannot limit {what.value} of {node!r}: the provider has no control over resources")
    with target.history.fault(f"short of {what.value}", node, explains=explains, amount=amount) as record:
        limit = resources.limit(node, what, amount)
        record.evidence(f"{node} is limited to {limit.means}")
        try:
            yield limit
        finally:
            try:
                record.healed(resources.lift(limit))
            except NotReady as error:
                raise FaultNotHealed(f"{node!r} is still short of {what.value}: {error}") from error
