"""How the driver's Kafka clients connect."""

from __future__ import annotations

from typing import Any

from kafka.errors import KafkaError
from kafka.net.inet import KafkaNetSocket


class _Direct(KafkaNetSocket):  # type: ignore[misc]
    """No proxy, as if none were asked for; but a socket that could not be connected is closed, not left to be found."""

    SCHEMES = ("direct",)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except KafkaError:
            sock.close()
            raise


CONNECTING: dict[str, Any] = {
    "client_id": "airproof",
    "proxy_url": "direct://",
    "reconnect_backoff_ms": 20,
    "reconnect_backoff_max_ms": 200,
    "retry_backoff_ms": 20,
}
