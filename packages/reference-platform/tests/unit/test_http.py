"""The HTTP side of services whose backing is away: probes, errors, who may call."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from pyairtable_reference.kit.runtime import Runtime
from pyairtable_reference.kit.service_auth import HEADER, issue_token
from pyairtable_reference.kit.settings import Settings
from pyairtable_reference.services.registry import app_of, service, services

SECRET = "s" * 40


def request(name: str, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to a service that was put together but has no backing."""

    async def scenario() -> httpx.Response:
        settings = Settings.from_environment(
            {
                "SERVICE_NAME": name,
                "PORT": "1",
                "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                "REDIS_URL": "redis://127.0.0.1:1/0",
                "KAFKA_BOOTSTRAP": "127.0.0.1:1",
                "SERVICE_SECRET": SECRET,
                "ADMIN_KEY": "operator",
                "UPSTREAMS": str(dict.fromkeys(services(), "http://127.0.0.1:1")).replace("'", '"'),
            }
        )
        app = app_of(name)
        app.state.runtime = runtime = Runtime(service(name), settings)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.request(method, path, **options)
        await runtime.stop()
        return answer

    return asyncio.run(scenario())


def test_every_service_is_alive_without_its_backing_and_ready_only_with_it() -> None:
    assert request("user-service", "GET", "/health").json() == {"status": "ok"}
    answer = request("user-service", "GET", "/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": False, "producer": False, "consumer": False}
    assert request("api-gateway", "GET", "/ready").status_code == 200


@pytest.mark.parametrize("name", services())
def test_every_service_has_metrics_and_a_document(name: str) -> None:
    assert "pyairtable_commands" in request(name, "GET", "/metrics").text
    assert request(name, "GET", "/openapi.json").json()["info"]["title"] == name


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("auth-service", "POST", "/auth/login"),
        ("user-service", "GET", "/api/v1/users/00000000-0000-0000-0000-000000000001"),
        ("workspace-service", "GET", "/api/v1/workspaces"),
        ("permission-service", "POST", "/api/v1/permissions/check"),
        ("saga-orchestrator", "POST", "/sagas/start"),
        ("saga-orchestrator", "GET", "/sagas/00000000-0000-0000-0000-000000000001"),
        ("user-service", "PUT", "/api/v1/tenants/acme/limits"),
        ("user-service", "POST", "/api/v1/outbox/00000000-0000-0000-0000-000000000001/retry"),
    ],
)
def test_services_let_nobody_in_without_identity(name: str, method: str, path: str) -> None:
    for headers in ({}, {HEADER: issue_token(SECRET, "api-gateway", "other-service")}, {"X-API-Key": "guess"}):
        answer = request(name, method, path, headers=headers | {"X-User-ID": "1", "X-Tenant-ID": "acme"}, json={})
        assert answer.status_code == 401
        assert set(answer.json()["error"]) == {"code", "message", "correlation_id"}


def test_the_correlation_id_comes_back() -> None:
    answer = request("api-gateway", "GET", "/nowhere", headers={"X-Correlation-ID": "mine"})
    assert answer.headers["X-Correlation-ID"] == "mine"
    assert answer.json()["error"]["correlation_id"] == "mine"


def test_a_correlation_id_that_is_none_is_replaced() -> None:
    answer = request("api-gateway", "GET", "/health", headers={"X-Correlation-ID": "a b" * 100})
    assert len(answer.headers["X-Correlation-ID"]) == 36


def test_wrong_input_is_named_and_never_repeated() -> None:
    headers = {HEADER: issue_token(SECRET, "api-gateway", "auth-service"), "Idempotency-Key": "k"}
    body = {"email": "nobody", "password": "topsecret", "first_name": "\n", "last_name": "b", "tenant_id": "t", "x": 1}
    answer = request("auth-service", "POST", "/auth/register", headers=headers, json=body)
    assert answer.status_code == 422
    message = answer.json()["error"]["message"]
    assert all(field in message for field in ("email", "first_name", "x"))
    assert "topsecret" not in answer.text


def test_an_idempotency_key_is_required() -> None:
    headers = {HEADER: issue_token(SECRET, "api-gateway", "auth-service")}
    body = {"email": "a@b.example", "password": "topsecret", "first_name": "a", "last_name": "b", "tenant_id": "t"}
    answer = request("auth-service", "POST", "/auth/register", headers=headers, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "idempotency-key-required")


def test_an_absent_database_is_unavailable_and_not_an_internal_error() -> None:
    answer = request("saga-orchestrator", "GET", "/sagas?tenant_id=acme", headers={"X-API-Key": "operator"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database-unavailable")


def test_an_absent_upstream_is_unavailable() -> None:
    answer = request("api-gateway", "POST", "/auth/login", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream-unavailable")
    assert answer.headers["Retry-After"] == "1"
