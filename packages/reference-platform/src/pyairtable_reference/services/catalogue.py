"""Which services there are, and which database with which tables each has."""

from __future__ import annotations

from sqlalchemy import MetaData

from pyairtable_reference.services.auth_service.adapters import schema as auth
from pyairtable_reference.services.notification_service.adapters import schema as notifications
from pyairtable_reference.services.permission_service.adapters import schema as permissions
from pyairtable_reference.services.saga_orchestrator.adapters import schema as sagas
from pyairtable_reference.services.user_service.adapters import schema as users
from pyairtable_reference.services.workspace_service.adapters import schema as workspaces

DATABASES: dict[str, tuple[MetaData, ...]] = {
    "auth": auth.ALL,
    "users": users.ALL,
    "workspaces": workspaces.ALL,
    "permissions": permissions.ALL,
    "notifications": notifications.ALL,
    "sagas": sagas.ALL,
}
