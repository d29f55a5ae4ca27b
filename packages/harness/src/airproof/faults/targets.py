"""What faults need of a cell, as protocols; `airproof.cells.Cell` has all of it."""

from __future__ import annotations

from typing import Any, Protocol

from airproof.environment.capabilities import Capabilities
from airproof.environment.topology import CellDescription
from airproof.history import History
from airproof.wire.rules import Rule


class Target(Protocol):
    """A cell."""

    @property
    def description(self) -> CellDescription: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def history(self) -> History: ...


class RuleInForce(Protocol):
    """A rule that a wire obeys until it is removed; `airproof.wire.control.AppliedRule` is one.

    Attributes:
        fired: how often it has acted.
    """

    @property
    def fired(self) -> int: ...

    def wait_until_held(self, timeout_s: float) -> None:
        """Waits until it holds a message; `WaitTimeout` if it does not, or is removed meanwhile."""
        ...

    def wait_until_fired(self, timeout_s: float, times: int = 1) -> None:
        """Waits until it has acted so often, in the same way."""
        ...

    def release(self) -> int:
        """Lets what it holds go on."""
        ...

    def remove(self) -> None:
        """Ends it, confirmed by the wire; nothing the second time."""
        ...


class Wires(Protocol):
    """Puts rules in force and tells what they do; `airproof.wire.control.Wire` does."""

    def apply(self, rule: Rule) -> RuleInForce:
        """Puts a rule in force."""
        ...

    def cursor(self) -> int:
        """The number of the newest event."""
        ...

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """All events since, oldest first."""
        ...


class WiredTarget(Target, Protocol):
    """A cell with wires; where it has none, `wire` raises `FaultUnsupported` and names the fixture."""

    @property
    def wire(self) -> Wires: ...
