"""Faults on the wire: a rule in force on the links of a wired cell, with its evidence in the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from airproof.environment.topology import CellDescription
from airproof.history import AppliedAction, Explanation, History, WireEvent
from airproof.wire import AppliedRule, Event, Rule, Wire


class WiredTarget(Protocol):
    """What a fault on the wire needs of a cell."""

    @property
    def description(self) -> CellDescription: ...

    @property
    def wire(self) -> Wire: ...

    @property
    def history(self) -> History: ...


@contextmanager
def applied(target: WiredTarget, rule: Rule, *, explains: Iterable[Explanation] = ()) -> Iterator[AppliedRule]:
    """The rule is in force until the block ends; what it still holds then goes on, and the history says so.

    Args:
        explains: which exits and error log lines it accounts for.

    Raises:
        FaultUnsupported: the cell has no wires, or the wire cannot do this.
        FaultNotObserved: the rule is required and never acted.
    """
    where = f"{rule.source}>{rule.target}"
    with target.history.fault(
        rule.action.kind, where, explains=explains, required=rule.required, rule=str(rule)
    ) as fault:
        in_force = target.wire.apply(rule)
        try:
            yield in_force
        finally:
            in_force.remove()
            fault.applied(_action(target.description, event) for event in in_force.evidence() if "action" in event)
            left = f"; {in_force.left_held} that it still held went on" if in_force.left_held else ""
            fault.healed(f"the rule is removed{left}")
        in_force.verify()


def _action(cell: CellDescription, event: Event) -> AppliedAction:
    link = next(link for link in cell.links if link.name == event["link"])
    exchange = WireEvent(
        requested_at=event["at"],
        replied_at=None,
        source=link.source,
        target=link.target,
        protocol=link.protocol,
        event=event["event"],
        fields=event["fields"],
        outcome=event["outcome"],
        connection=event["connection"],
        number=event["exchange"],
        transaction=event["transaction"],
    )
    done = f"{event['action']} failed: {event['failure']}" if "failure" in event else event["action"]
    return AppliedAction(event["at"], event["rule"], event["moment"], done, exchange, event["data"])
