"""The faults that a schedule may name, and how each is made of a disturbance's data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from airproof.errors import FaultUnsupported, UsageError
from airproof.faults import network, process
from airproof.faults.links import links_across, links_from, names_of
from airproof.faults.nemesis.schedule import Anchor, Disturbance
from airproof.faults.targets import WiredTarget

Fault = AbstractContextManager[object]
_Make = Callable[..., Fault]

OF_PROCESSES: dict[str, _Make] = {
    "killed": process.killed,
    "stopped": process.stopped,
    "suspended": process.suspended,
}
"""Of one node; two of them at a time on one node make no sense."""

NEEDS_ITS_MESSAGES = frozenset({"stopped"})
"""What would be another fault, were the message of its anchor held meanwhile."""

OF_LINKS: dict[str, _Make] = {
    "latency": network.latency,
    "loss": network.loss,
    "slow link": network.slow_link,
    "flapping": network.flapping,
}
"""Of the links from `nodes` to `others`."""

PARTITION = "partition"
KINDS = (*OF_PROCESSES, *OF_LINKS, PARTITION)


def make(target: WiredTarget, wanted: Disturbance) -> Fault:
    """The fault, not yet in force. One of the network may meet no message: a schedule cannot know."""
    if wanted.kind in OF_PROCESSES:
        return OF_PROCESSES[wanted.kind](target, wanted.nodes[0], **wanted.parameters)
    made = network.partition if wanted.kind == PARTITION else OF_LINKS[wanted.kind]
    parameters: dict[str, Any] = {"required": False, **wanted.parameters}
    return made(target, wanted.nodes, wanted.others, **parameters)


def check(target: WiredTarget, wanted: Disturbance) -> None:
    """Refuses what this cell cannot do.

    Raises:
        UsageError: there is no such fault.
        FaultUnsupported: no such node or link, or no means to do it.
    """
    cell = target.description
    if wanted.kind not in KINDS:
        raise UsageError(f"there is no fault {wanted.kind!r} for schedules; there are {', '.join(KINDS)}")
    if not names_of(cell, wanted.nodes):
        raise UsageError(f"{wanted.kind!r} names no node")
    if wanted.kind in OF_LINKS:
        links_from(cell, wanted.nodes, wanted.others)
    elif wanted.kind == PARTITION:
        links_across(cell, wanted.nodes, wanted.others)
    elif target.capabilities.processes is None:
        raise FaultUnsupported(f"cannot have {wanted}: the provider has no control over processes")
    for anchor in (wanted.start, wanted.end):
        if anchor:
            _check_anchor(target, anchor)


def _check_anchor(target: WiredTarget, anchor: Anchor) -> None:
    links = links_from(target.description, anchor.source, anchor.target)
    if links[0].protocol != anchor.protocol:
        raise FaultUnsupported(f"{links[0].name} speaks {links[0].protocol}, so no {anchor.protocol} passes there")
