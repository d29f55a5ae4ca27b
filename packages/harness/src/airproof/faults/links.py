"""Which links of a cell lie between which nodes, and in which direction bytes cross them."""

from __future__ import annotations

from collections.abc import Iterable

from airproof.environment.topology import CLIENT, CellDescription, Link, Role
from airproof.errors import FaultUnsupported
from airproof.wire.building import Direction

Nodes = str | Iterable[str]
"""A node's name, or several; `CLIENT` is whoever drives the platform from outside."""

THERE: Direction = "client->server"
BACK: Direction = "server->client"
BOTH: Direction = "both"

_WITHOUT_WIRE = ((Role.POSTGRES_REPLICA, Role.POSTGRES_PRIMARY),)
"""Who talks to whom although no wire of a cell stands between them: the replica streams from the primary itself."""


def names_of(cell: CellDescription, nodes: Nodes) -> tuple[str, ...]:
    """The names, all of which must be known.

    Raises:
        FaultUnsupported: the cell has no such node.
    """
    names = (nodes,) if isinstance(nodes, str) else tuple(nodes)
    known = [CLIENT, *(node.name for node in cell.nodes)]
    if unknown := [name for name in names if name not in known]:
        raise FaultUnsupported(f"there is no node {unknown[0]!r} in cell {cell.name!r}; there are {', '.join(known)}")
    return names


def links_from(cell: CellDescription, source: Nodes, target: Nodes) -> tuple[Link, ...]:
    """The links that are opened by one of the sources to one of the targets.

    Raises:
        FaultUnsupported: there is none; says which there are.
    """
    sources, targets = names_of(cell, source), names_of(cell, target)
    found = tuple(link for link in cell.links if link.source in sources and link.target in targets)
    if not found:
        raise _no_link(cell, sources, targets)
    return found


def links_across(
    cell: CellDescription, ones: Nodes, others: Nodes, *, one_way: bool = False
) -> tuple[tuple[Link, Direction], ...]:
    """Every link between the two sets, with the direction in which bytes go from the first set to the second.

    Args:
        one_way: otherwise the direction is both, for each of them.

    Raises:
        FaultUnsupported: no link lies between them, or they also talk to each other without one.
    """
    left, right = names_of(cell, ones), names_of(cell, others)
    if both := set(left) & set(right):
        raise FaultUnsupported(f"{', '.join(sorted(both))} cannot be on both sides of a partition")
    _demand_wires(cell, left, right)
    there = [(link, THERE) for link in cell.links if link.source in left and link.target in right]
    back = [(link, BACK) for link in cell.links if link.source in right and link.target in left]
    found = (*there, *back)
    if not found:
        raise _no_link(cell, left, right)
    return found if one_way else tuple((link, BOTH) for link, _ in found)


def _demand_wires(cell: CellDescription, left: tuple[str, ...], right: tuple[str, ...]) -> None:
    roles = {node.name: node.role for node in cell.nodes}
    between = {(link.source, link.target) for link in cell.links}
    for one, other in ((a, b) for a in left for b in right):
        for pair in ((one, other), (other, one)):
            if (roles.get(pair[0]), roles.get(pair[1])) in _WITHOUT_WIRE and pair not in between:
                raise FaultUnsupported(
                    f"{pair[0]} talks to {pair[1]} directly, with no wire between them, so they cannot be parted;"
                    f" suspend {pair[0]} instead, or leave one of the two out"
                )


def _no_link(cell: CellDescription, left: Iterable[str], right: Iterable[str]) -> FaultUnsupported:
    if not cell.links:
        return FaultUnsupported(
            f"cell {cell.name!r} has no wires, so nothing can be done between {_listed(left)} and {_listed(right)};"
            " ask for a wired cell with the fixture `wire`"
        )
    links = ", ".join(link.name for link in cell.links)
    return FaultUnsupported(f"no link leads between {_listed(left)} and {_listed(right)}; there are {links}")


def _listed(names: Iterable[str]) -> str:
    return "{" + ", ".join(names) + "}"
