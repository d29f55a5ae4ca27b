"""Where the gateway sends requests, and who may make them. What is not written here is closed."""

from __future__ import annotations

import re
from enum import Enum, auto


class Access(Enum):
    """Who may make a request."""

    ANYBODY = auto()
    USER = auto()
    OPERATOR = auto()


_PUBLIC = {("POST", "/auth/register"), ("POST", "/auth/login"), ("POST", "/auth/refresh"), ("POST", "/auth/validate")}
_OPERATORS = re.compile(r"/sagas(/.*)?")
_UPSTREAMS = {
    "/auth": "auth-service",
    "/sagas": "saga-orchestrator",
    "/api/v1/users": "user-service",
    "/api/v1/workspaces": "workspace-service",
    "/api/v1/permissions": "permission-service",
}
_PLAIN = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")


def access(method: str, path: str) -> Access:
    """Who may request a path as the client spelled it; a variant of a public path is not public."""
    if (method, path) in _PUBLIC:
        return Access.ANYBODY
    return Access.OPERATOR if _OPERATORS.fullmatch(path) else Access.USER


def upstream(path: str) -> str | None:
    """The service behind a path; None for paths that are unknown or not plainly spelled."""
    if not _PLAIN.fullmatch(path):
        return None
    for prefix, service in _UPSTREAMS.items():
        if path == prefix or path.startswith(prefix + "/"):
            return service
    return None


UPSTREAMS = tuple(_UPSTREAMS.values())
