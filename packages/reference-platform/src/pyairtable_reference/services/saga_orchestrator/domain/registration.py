"""The user registration saga: credentials, profile, first workspace, permissions, and a welcome mail."""

from __future__ import annotations

from pyairtable_reference.kit.saga.definition import JSON, SagaDefinition, StepDefinition


def _credentials(given: JSON, _: JSON) -> JSON:
    return {"email": given["email"], "password_hash": given["password_hash"]}


def _profile(given: JSON, known: JSON) -> JSON:
    return {
        "user_id": known["user_id"],
        "email": given["email"],
        "first_name": given["first_name"],
        "last_name": given["last_name"],
    }


def _workspace(given: JSON, known: JSON) -> JSON:
    return {"owner_id": known["user_id"], "name": f"{given['first_name']}'s workspace"}


def _permissions(_: JSON, known: JSON) -> JSON:
    return {"user_id": known["user_id"], "workspace_id": known["workspace_id"]}


def _mail(given: JSON, known: JSON) -> JSON:
    return {"user_id": known["user_id"], "recipient": given["email"], "first_name": given["first_name"]}


USER_REGISTRATION = SagaDefinition(
    name="user_registration",
    aggregate_type="registration",
    steps=(
        StepDefinition("create_credentials", "auth-service", _credentials),
        StepDefinition("create_profile", "user-service", _profile),
        StepDefinition("create_workspace", "workspace-service", _workspace),
        StepDefinition("assign_permissions", "permission-service", _permissions),
        StepDefinition("send_welcome_mail", "notification-service", _mail, compensable=False),
    ),
    pivot="send_welcome_mail",
    input_fields=frozenset({"email", "password_hash", "first_name", "last_name"}),
    started="user.registration.started",
    completed="user.registration.completed",
    failed="user.registration.failed",
    compensated="user.registration.compensated",
    needs_attention="user.registration.needs_attention",
)
