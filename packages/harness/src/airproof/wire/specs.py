"""What a wire process is told about a link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link.

    Attributes:
        name: unique in the wire; evidence and history call it so.
        source: who opens the connections, for rules.
        target: whom they lead to.
        protocol: one of `airproof.wire.protocols.SESSIONS`.
        port: where the wire listens; 0 for any free one.
        upstream_host: where the target listens.
        record: whether every exchange is recorded from the start.
    """

    name: str
    source: str
    target: str
    protocol: str
    port: int
    upstream_host: str
    upstream_port: int
    host: str = "127.0.0.1"
    record: bool = False
