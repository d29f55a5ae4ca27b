"""Settings, from environment variables."""

from __future__ import annotations

import pytest

from pyairtable_reference.kit.settings import Settings, SettingsError

GOOD = {
    "SERVICE_NAME": "user-service",
    "PORT": "8001",
    "DATABASE_URL": "postgresql://me:pw@db:5432/users",
    "SERVICE_SECRET": "s" * 40,
    "ADMIN_KEY": "k",
    "UPSTREAMS": '{"auth-service": "http://auth:1/"}',
}


def test_variables_are_typed_and_have_production_defaults() -> None:
    settings = Settings.from_environment(GOOD)
    assert (settings.port, settings.saga_resend_s, settings.outbox_max_attempts) == (8001, 1.0, 5)
    assert settings.database_url == "postgresql+psycopg://me:pw@db:5432/users"
    assert settings.upstream("auth-service") == "http://auth:1"
    assert settings.instance == "user-service-1"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("SAGA_RESEND_S", "0"),
        ("SAGA_DEADLINE_S", "nan"),
        ("OUTBOX_MAX_ATTEMPTS", "many"),
        ("CONSUMER_SESSION_MS", "10"),
        ("UPSTREAMS", "[]"),
        ("UPSTREAMS", "{"),
        ("LOG_LEVEL", "loud"),
        ("SERVICE_NAME", ""),
    ],
)
def test_a_wrong_value_is_one_line_that_names_variable_and_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(GOOD | {variable: value})
    assert str(caught.value).startswith(f"environment variable {variable}={value!r} ")
    assert "\n" not in str(caught.value)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="PORT is missing"):
        Settings.from_environment({name: value for name, value in GOOD.items() if name != "PORT"})


def test_secrets_are_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(GOOD | {"DATABASE_URL": "mysql://me:topsecret@db/users"})
    assert "topsecret" not in str(caught.value)
    shown = repr(Settings.from_environment(GOOD))
    assert "pw" not in shown
    assert "sss" not in shown


def test_what_only_some_services_need_is_asked_for_by_them() -> None:
    settings = Settings.from_environment(GOOD)
    with pytest.raises(SettingsError, match="REDIS_URL is missing; user-service needs it"):
        settings.require("redis_url")
    with pytest.raises(SettingsError, match=r"UPSTREAMS has no 'saga-orchestrator'; it has \['auth-service'\]"):
        settings.upstream("saga-orchestrator")
