"""Several rules put in force as one fault: their evidence goes into the history, and all of them go away again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from airproof.environment.topology import Link
from airproof.errors import AirproofError, CleanUpError
from airproof.faults.targets import RuleInForce, WiredTarget
from airproof.history import AppliedAction, WireEvent
from airproof.wire.rules import ESTABLISHED, Rule


class RulesInForce:
    """Rules of one fault, from the moment they are all in force until `remove`.

    Attributes:
        rules: in the order in which they were given.
    """

    def __init__(self, target: WiredTarget, rules: Sequence[Rule]) -> None:
        self.rules: list[RuleInForce] = []
        self._target = target
        # Several rules may have been built from one beginning, whose id they share.
        own = [replace(rule, id=uuid4().hex[:12], required=False) for rule in rules]
        self._names = {rule.id: str(rule) for rule in own}
        self._wire = target.wire
        self._began = self._wire.cursor()
        try:
            for rule in own:
                self.rules.append(self._wire.apply(rule))
        except BaseException:
            self.remove()
            raise

    @property
    def fired(self) -> int:
        """How often they have acted."""
        return sum(rule.fired for rule in self.rules)

    def remove(self) -> None:
        """Takes all of them away, also when one of them cannot be.

        Raises:
            CleanUpError: the wire did not confirm it for every one.
        """
        failures: list[BaseException] = []
        for rule in reversed(self.rules):
            try:
                rule.remove()
            except AirproofError as error:
                failures.append(error)
        if failures:
            raise CleanUpError("taking rules away from the wire", failures)

    def actions(self) -> list[AppliedAction]:
        """What they have done so far; what turned out to be impossible is not among it."""
        links = {link.name: link for link in self._target.description.links}
        return [
            applied_action(event, self._names[event["rule"]], links[event["link"]])
            for event in self._wire.events(self._began)
            if event.get("rule") in self._names
            and event["kind"] == "fault"
            and "failure" not in event
            # That an idle connection is cut shows nothing yet; what then vanishes in it does, and is told too.
            and (event["event"], event["action"]) != (ESTABLISHED, "cut")
        ]


def applied_action(event: dict[str, Any], rule: str, link: Link) -> AppliedAction:
    """What a wire tells of a rule's act, as histories keep it."""
    crossed = WireEvent(
        requested_at=event["at"],
        replied_at=event["at"] if event.get("moment") == "after" else None,
        source=link.source,
        target=link.target,
        protocol=link.protocol,
        event=event.get("event", ""),
        fields=event.get("fields") or {},
        outcome=event.get("outcome"),
        connection=event["connection"],
        number=event.get("exchange") or 0,
        transaction=event.get("transaction"),
    )
    return AppliedAction(event["at"], rule, event["moment"], event["action"], crossed, str(event.get("data", "")))
