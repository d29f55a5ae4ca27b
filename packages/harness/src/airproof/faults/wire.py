"""One rule in force on the links of a wired cell, as a fault: the test sees what it holds, the history its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from airproof.faults.rules_in_force import applied_action
from airproof.faults.targets import Target
from airproof.history import Explanation
from airproof.wire import AppliedRule, Rule, Wire


class Wired(Target, Protocol):
    """A cell with the control of its wire; where it has none, `wire` raises `FaultUnsupported`."""

    @property
    def wire(self) -> Wire: ...


@contextmanager
def applied(target: Wired, rule: Rule, *, explains: Iterable[Explanation] = ()) -> Iterator[AppliedRule]:
    """The rule is in force until the block ends; what it still holds then goes on, and the history says so.

    Args:
        explains: which exits and error log lines it accounts for.

    Raises:
        FaultUnsupported: the cell has no wires, or the wire cannot do this.
        FaultNotObserved: the rule is required and never acted.
    """
    wire, links = target.wire, {link.name: link for link in target.description.links}
    where = f"{rule.source}>{rule.target}"
    with target.history.fault(
        rule.action.kind, where, explains=explains, required=rule.required, rule=str(rule)
    ) as fault:
        in_force = wire.apply(rule)
        try:
            yield in_force
        finally:
            in_force.remove()
            did = [event for event in in_force.evidence() if event["kind"] == "fault" and "failure" not in event]
            fault.applied(applied_action(event, str(rule), links[event["link"]]) for event in did)
            left = f"; {in_force.left_held} messages that it still held went on" if in_force.left_held else ""
            fault.healed(f"the rule is removed{left}")
        in_force.verify()
