"""Calls to other services: with the caller's identity, the conversation's id, and a time limit."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.http.errors import ApiError
from pyairtable_reference.kit.service_auth import HEADER, REFUSED, issue_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyairtable_reference.kit.settings import Settings


@cache
def trusted_roots() -> ssl.SSLContext:
    """The machine's trust anchors; made once, because reading them is slow."""
    return ssl.create_default_context()


class _Client(httpx.AsyncClient):
    """A client whose time limit is for an answer as a whole, however slowly it comes, and not for each piece of it."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Sends a request, and returns what is answered."""
        in_all_s = self.timeout.read
        try:
            async with asyncio.timeout(in_all_s):
                return await super().send(request, **options)
        except TimeoutError as late:
            raise httpx.ReadTimeout(f"no whole answer within {in_all_s} s", request=request) from late


class ServiceClient:
    """Calls the services that UPSTREAMS names. No call is repeated: that is for who knows whether it is safe.

    Each has connections of its own, so that one that hangs takes none from the others.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=4)
        pools = {
            url: httpx.AsyncHTTPTransport(trusted_roots(), limits=limits, trust_env=False)
            for url in settings.upstreams.values()
        }
        self._client = _Client(
            mounts=pools, timeout=settings.delivery_timeout_s, verify=trusted_roots(), trust_env=False
        )
        self._client.event_hooks = {"response": [_demand_belief]}

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: bytes = b"",
        content: bytes | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """Calls a service and returns whatever it answers.

        Raises:
            ApiError: it does not answer: 503 if it was not reached, broke off, or does not believe who calls; 504 if it
                took too long. 400 if it cannot be asked so.
        """
        own = self._settings
        identity = {
            HEADER: issue_token(own.service_secret, own.service_name, service, lives_s=own.service_token_s),
            "X-Correlation-ID": logs.current_correlation(),
        }
        # As bytes, because those of a client's headers need not be ASCII.
        sent = {name.encode(): value.encode("latin-1") for name, value in {**(headers or {}), **identity}.items()}
        url = _url(self._settings.upstream(service), path.encode() + (b"?" + query if query else b""))
        try:
            return await self._client.request(method, url, headers=sent, content=content, json=json)
        except httpx.TimeoutException as failure:
            raise ApiError(504, "upstream-timeout", f"{service} did not answer in time") from failure
        except (httpx.TransportError, AttributeError) as failure:
            if isinstance(failure, AttributeError) and not _reset_at_once(failure):
                raise
            raise ApiError(503, "upstream-unavailable", f"{service} cannot be reached") from failure


def _url(upstream: str, target: bytes) -> httpx.URL:
    try:
        return httpx.URL(upstream).copy_with(raw_path=target)
    except (httpx.InvalidURL, UnicodeDecodeError) as malformed:
        raise ApiError(400, "invalid-request", "this is no path and no query of a request") from malformed


async def _demand_belief(answer: httpx.Response) -> None:
    """Does not pass on as the user's fault that the service called does not believe who calls it."""
    if answer.status_code == 401 and REFUSED in (await answer.aread()).decode("latin-1"):
        raise ApiError(503, "upstream-unavailable", "one service does not believe another")


def _reset_at_once(failure: AttributeError) -> bool:
    """Whether a connection was reset as soon as it stood: then uvloop has no socket any more that anyio could ask."""
    return failure.obj is None and failure.name == "getpeername"
