"""The protocols that a wire follows, by name. A protocol's module is imported when a link first needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from airproof.errors import UsageError
from airproof.wire.session import Session

Route = Callable[[str, int], tuple[str, int] | None]
"""Where clients reach the broker that advertises this host and port; None where there is no wire to it."""

SESSIONS = {
    "http": "HttpSession",
    "kafka": "KafkaSession",
    "opaque": "OpaqueSession",
    "postgres": "PostgresSession",
    "redis": "RedisSession",
    "smtp": "SmtpSession",
}


def session_factory(protocol: str, route: Route) -> Callable[[], Session]:
    """What makes the session of a link's new connection.

    Args:
        route: only Kafka's sessions need it, whose replies carry addresses.

    Raises:
        UsageError: no such protocol; names those there are.
    """
    if protocol not in SESSIONS:
        raise UsageError(f"no wire follows {protocol!r}; there are {', '.join(SESSIONS)}")
    made: Callable[..., Session] = getattr(import_module(f"{__name__}.{protocol}"), SESSIONS[protocol])
    return partial(made, route=route, cluster={}) if protocol == "kafka" else made
