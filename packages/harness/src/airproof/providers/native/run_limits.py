"""What a whole environment may use, as `limits` of its file says: put on its supervisor before that starts anything.

Every process of the environment descends from the supervisor and inherits what it has. Cores are taken away from it, so
that programs that count cores count as many as they get. Memory is limited for all processes together where a control
group can be made, otherwise for each of them; which of the two it is stands in the notes of the run.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from airproof.environment.model import Limits
from airproof.errors import FaultUnsupported, ProviderUnavailable, WaitTimeout
from airproof.providers.native.control_groups import ControlGroup, group_of
from airproof.supervision.kernel import LINUX
from airproof.waiting import wait_until

PREFIX = "airproof-limits-"
MEMORY = "memory"
_GONE_WITHIN_S = 5.0
_MB = 2**20


def unsupported_limits(limits: Limits) -> dict[str, bool]:
    """Fields that ask for what only Linux can enforce, and whether they ask for it here."""
    asked = {f"limits.cores: {limits.cores}": limits.cores, f"limits.memory_mb: {limits.memory_mb}": limits.memory_mb}
    return {field: value is not None and not LINUX for field, value in asked.items()}


def limit_run(limits: Limits, supervisor: int, name: str) -> list[str]:
    """Limits a supervisor that has started nothing yet, and all that it will start.

    Args:
        supervisor: its process id.
        name: of the run.

    Returns:
        What the reader of the run should know.

    Raises:
        ProviderUnavailable: the kernel does not take a limit; names the field.
    """
    if limits.cores is not None:
        _limit_cores(supervisor, limits.cores)
    if limits.memory_mb is None:
        return []
    remove_left_overs()
    try:
        group = ControlGroup.make(MEMORY, supervisor, f"{PREFIX}{name}")
    except FaultUnsupported as reason:
        return [_limit_each(supervisor, limits.memory_mb, str(reason))]
    try:
        group.allow_memory(limits.memory_mb * _MB)
    except OSError as error:
        group.remove()
        raise ProviderUnavailable(
            f"limits.memory_mb: {limits.memory_mb}: the kernel does not take it: {error}"
        ) from error
    return []


def remove_left_overs(of: str = "") -> None:
    """Ends the control groups of runs of which no process is left.

    Args:
        of: a run that has just been stopped; its supervisor's end is waited for, though not long.
    """
    for group in _groups():
        wait_s = _GONE_WITHIN_S if group.name == f"{PREFIX}{of}" else 0.0
        with suppress(WaitTimeout):
            wait_until(partial(_removed, group), timeout_s=wait_s, describe=f"{group.name} to be empty")


def _removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def _groups() -> Iterator[Path]:
    if LINUX:
        with suppress(OSError):
            parent, _ = group_of(MEMORY, os.getpid())
            yield from parent.glob(f"{PREFIX}*")


def _limit_cores(supervisor: int, cores: int) -> None:
    """Several runs on one machine should not all have the same cores, so they are drawn."""
    allowed = sorted(os.sched_getaffinity(supervisor))
    if cores < len(allowed):
        os.sched_setaffinity(supervisor, random.SystemRandom().sample(allowed, cores))


def _limit_each(supervisor: int, memory_mb: int, reason: str) -> str:
    _, hard = resource.prlimit(supervisor, resource.RLIMIT_DATA)
    most = memory_mb * _MB if hard == resource.RLIM_INFINITY else min(memory_mb * _MB, hard)
    resource.prlimit(supervisor, resource.RLIMIT_DATA, (most, hard))
    return f"limits.memory_mb: {memory_mb} holds for each process and not for all together: {reason}"
