"""What wires saw and did: requests that crossed a link, and what rules did to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class WireEvent:
    """A request that crossed a link, with its reply.

    A wire tells times by its machine's monotonic clock; in a recording they are seconds since the history began.

    Attributes:
        requested_at: when the wire had the request.
        replied_at: when the reply was complete; None while it is not, or when there is none to come.
        source: the node that asks.
        target: the node that is asked.
        protocol: as links and rules call it.
        event: the protocol's own name of what happens: `request`, `commit`, `Produce`, `SET`, `RCPT`.
        fields: what it is about, short: method and path, topic and key.
        outcome: how the reply ended, in the protocol's own words; None until it has.
        connection: the wire's number of the connection.
        number: of the exchange in its connection.
        transaction: counted in its connection; None outside of one.
    """

    requested_at: float
    replied_at: float | None
    source: str
    target: str
    protocol: str
    event: str
    fields: dict[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    connection: int = 0
    number: int = 0
    transaction: int | None = None

    def since(self, origin: float) -> WireEvent:
        """The same, with its times counted from there."""
        replied_at = None if self.replied_at is None else round(self.replied_at - origin, 6)
        return replace(self, requested_at=round(self.requested_at - origin, 6), replied_at=replied_at)


@dataclass(frozen=True, slots=True)
class AppliedAction:
    """What a rule did at a moment of an exchange; its times are as those of the event.

    Attributes:
        at: when it was done.
        rule: as the test or the wire named it.
        moment: before the request went on, or after the reply had come, in the rule's words.
        action: what was done: `lost reply`, `held`, `reset`, …
        event: the exchange that matched, as far as it had come.
        excerpt: of the bytes it was done to, readable and redacted.
    """

    at: float
    rule: str
    moment: str
    action: str
    event: WireEvent
    excerpt: str = ""

    def since(self, origin: float) -> AppliedAction:
        """The same, with its times counted from there."""
        return replace(self, at=round(self.at - origin, 6), event=self.event.since(origin))

    def __str__(self) -> str:
        matched = f"{self.event.event} {self.event.source} → {self.event.target}"
        return f"{self.action} {self.moment} {matched}"
