"""HTTP/1.1 and 1.0."""

from airproof.wire.protocols.http.session import HttpSession

__all__ = ["HttpSession"]
