"""Bytes that nobody understands: they pass as they come."""

from __future__ import annotations

from airproof.wire.session import Segment, Sender, Session


class OpaqueSession(Session):
    """A connection of which only the bytes are known; rules match its event `bytes`."""

    protocol = "opaque"

    def __init__(self) -> None:
        super().__init__()
        self.opaque = True

    def receive(self, sender: Sender, data: bytes) -> list[Segment]:  # noqa: ARG002 - both sides are alike
        """The piece itself."""
        return [Segment(data)]

    def finish(self, sender: Sender) -> list[Segment]:  # noqa: ARG002 - both sides are alike
        """Nothing is ever kept."""
        return []
