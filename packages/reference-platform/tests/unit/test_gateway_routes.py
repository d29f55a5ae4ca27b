"""The gateway's route table: what is not written in it is closed."""

from __future__ import annotations

import pytest

from pyairtable_reference.services.api_gateway.domain.routes import Access, access, upstream


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/auth/refresh", "/auth/validate"])
def test_only_the_plain_spelling_is_public(path: str) -> None:
    assert access("POST", path) is Access.ANYBODY
    for variant in (path + "/", "/" + path, path.upper(), path.replace("a", "%61"), path + "/.", "/x/.." + path):
        assert access("POST", variant) is not Access.ANYBODY
    for method in ("GET", "HEAD", "PUT", "OPTIONS", "post"):
        assert access(method, path) is not Access.ANYBODY


@pytest.mark.parametrize("path", ["/sagas", "/sagas/1", "/sagas/", "/sagas/start"])
def test_sagas_are_for_operators(path: str) -> None:
    assert access("GET", path) is Access.OPERATOR


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/auth/me", "auth-service"),
        ("/sagas", "saga-orchestrator"),
        ("/api/v1/users/7b1e", "user-service"),
        ("/api/v1/workspaces", "workspace-service"),
        ("/api/v1/permissions/check", "permission-service"),
    ],
)
def test_a_path_leads_to_its_service(path: str, service: str) -> None:
    assert upstream(path) == service


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/authx",
        "/api/v1",
        "/api/v1/usersx/1",
        "//auth/me",
        "/auth/../sagas",
        "/auth/%2e%2e/sagas",
        "/auth/.",
        "/x",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert upstream(path) is None
