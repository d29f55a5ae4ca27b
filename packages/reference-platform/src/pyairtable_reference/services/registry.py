"""All services, and the app of each."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pyairtable_reference.kit.http.app import build_app
from pyairtable_reference.kit.settings import SettingsError
from pyairtable_reference.services.api_gateway.entrypoints.service import API_GATEWAY
from pyairtable_reference.services.auth_service.entrypoints.service import AUTH_SERVICE
from pyairtable_reference.services.notification_service.entrypoints.service import NOTIFICATION_SERVICE
from pyairtable_reference.services.permission_service.entrypoints.service import PERMISSION_SERVICE
from pyairtable_reference.services.saga_orchestrator.entrypoints.service import SAGA_ORCHESTRATOR
from pyairtable_reference.services.user_service.entrypoints.service import USER_SERVICE
from pyairtable_reference.services.workspace_service.entrypoints.service import WORKSPACE_SERVICE

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pyairtable_reference.kit.runtime import ServiceDefinition

_SERVICES = {
    definition.name: definition
    for definition in (
        API_GATEWAY,
        AUTH_SERVICE,
        USER_SERVICE,
        WORKSPACE_SERVICE,
        PERMISSION_SERVICE,
        NOTIFICATION_SERVICE,
        SAGA_ORCHESTRATOR,
    )
}


def services() -> list[str]:
    """The names of all services."""
    return list(_SERVICES)


def service(name: str) -> ServiceDefinition:
    """The service of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in _SERVICES:
        raise SettingsError(f"environment variable SERVICE_NAME={name!r} is not one of {', '.join(_SERVICES)}")
    return _SERVICES[name]


@cache
def app_of(name: str) -> FastAPI:
    """A service's app, built once per process; building is safe before a fork."""
    definition = service(name)
    return build_app(definition.name, definition.routers, has_database=definition.has_database)
