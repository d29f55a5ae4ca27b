"""What surrounds every request: its correlation id, its measurement, and the last resort for failures."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from pyairtable_reference.kit import logs, metrics
from pyairtable_reference.kit.http.errors import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Under which status a request is counted whose client did not wait for its answer, nor say all of it."""
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,200}")


def is_identifier(text: str) -> bool:
    """Whether a text may be an id that clients choose: printable ASCII without spaces, at most 200 characters."""
    return _IDENTIFIER.fullmatch(text) is not None


class RequestContext:
    """ASGI middleware; outermost, so that its answer to an unexpected failure has everything else's shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id = _correlation(headers)
        started, status = time.monotonic(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Correlation-ID"] = correlation_id
            await send(message)

        with logs.bound(correlation_id, ""):
            try:
                await self._app(scope, receive, send_with_id)
            except ClientDisconnect:
                status = CLIENT_GONE
                log.info("%s %s: the client hung up", scope["method"], scope["path"])
            except Exception:
                log.exception("%s %s failed", scope["method"], scope["path"])
                if status:
                    raise
                response = error_response(500, "internal-error", "the request could not be processed")
                await response(scope, receive, send_with_id)
            metrics.REQUESTS.labels(scope["method"], status).inc()
            metrics.REQUEST_SECONDS.labels(scope["method"]).observe(time.monotonic() - started)


def _correlation(headers: Headers) -> str:
    for name in ("X-Correlation-ID", "X-Request-ID", "Idempotency-Key"):
        if is_identifier(headers.get(name, "")):
            return headers[name]
    return str(uuid4())
