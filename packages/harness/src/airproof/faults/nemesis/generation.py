"""Schedules made from a seed: the same seed and links give the same schedule, everywhere and always."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from airproof.environment.topology import CLIENT, Link
from airproof.errors import UsageError
from airproof.faults.nemesis.kinds import KINDS, OF_PROCESSES, PARTITION
from airproof.faults.nemesis.schedule import Anchor, Disturbance, Schedule
from airproof.wire.rules import Moment

EVENTS = {
    "http": ("request",),
    "postgres": ("commit", "query"),
    "kafka": ("Produce", "OffsetCommit"),
    "redis": ("*",),
    "smtp": ("message",),
}
"""What schedules are anchored to, by protocol."""

FURTHEST = 5
"""Anchors are the first to the fifth of their messages; later ones may not come in a short test."""

_Parameters = dict[str, str | int | float | bool]

_DRAWN: dict[str, Callable[[Random], _Parameters]] = {
    "latency": lambda random: {"seconds": random.choice((0.02, 0.1, 0.5))},
    "loss": lambda random: {"probability": random.choice((0.05, 0.2, 0.5)), "seed": random.randrange(2**16)},
    "slow link": lambda random: {"bytes_per_s": random.choice((2_000, 20_000))},
    "flapping": lambda random: {"up": 3, "down": 2, "cycles": 4, "seed": random.randrange(2**16)},
    PARTITION: lambda random: {"one_way": random.random() < 0.3, "late": random.random() < 0.3},
}


def schedule(seed: int, links: Sequence[Link], size: int, *, kinds: Sequence[str] = KINDS) -> Schedule:
    """So many disturbances of services and of the links between them and their backing.

    Args:
        links: of a cell, in its order.
        kinds: which faults to choose from.

    Raises:
        UsageError: there are no links, or there is no such kind.
    """
    if unknown := set(kinds) - set(KINDS):
        raise UsageError(f"there is no fault {min(unknown)!r} for schedules; there are {', '.join(KINDS)}")
    followed = [link for link in links if link.protocol in EVENTS]
    if not followed:
        raise UsageError("a schedule is anchored to what crosses links, and there are none; ask for a wired cell")
    random = Random(seed)  # noqa: S311 - chosen by seed, nothing secret
    return Schedule(tuple(_disturbance(random, followed, random.choice(kinds)) for _ in range(size)), seed)


def _disturbance(random: Random, links: Sequence[Link], kind: str) -> Disturbance:
    start = random.choice(links)
    if kind in OF_PROCESSES:
        node = random.choice(_services_near(start, links))
        nodes: tuple[str, ...] = (node,)
        others: tuple[str, ...] = ()
        elsewhere = [link for link in links if node not in {link.source, link.target}]
    else:
        hit = random.choice(links)
        nodes, others = (hit.source,), (hit.target,)
        elsewhere = [link for link in links if {link.source, link.target} != {hit.source, hit.target}]
    parameters = _DRAWN[kind](random) if kind in _DRAWN else {}
    end = _anchor(random, random.choice(elsewhere)) if elsewhere else None
    return Disturbance(kind, nodes, others, parameters, start=_anchor(random, start), end=end)


def _anchor(random: Random, link: Link) -> Anchor:
    event = random.choice(EVENTS[link.protocol])
    moment = random.choice((Moment.BEFORE, Moment.AFTER))
    return Anchor(link.source, link.target, link.protocol, event, random.randint(1, FURTHEST), moment)


def _services_near(link: Link, links: Sequence[Link]) -> list[str]:
    """The services at the ends of the link, which a fault at its messages concerns most; else all there are."""
    services = {one.source for one in links} | {one.target for one in links if one.protocol == "http"}
    near = [name for name in (link.source, link.target) if name in services and name != CLIENT]
    return near or sorted(services - {CLIENT})
