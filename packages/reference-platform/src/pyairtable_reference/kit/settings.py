"""A service's configuration, read from environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pyairtable_reference.kit.service_auth import LIFETIME_S


class SettingsError(Exception):
    """An environment variable is missing or wrong: correct it. The message is one line."""


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not minimum <= int(value) <= maximum:
            raise ValueError(f"is not between {minimum} and {maximum}")
        return int(value)

    return parse


def _positive(value: str) -> float:
    if not 0 < float(value) < float("inf"):
        raise ValueError("is not a positive number")
    return float(value)


def _filled(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _level(value: str) -> str:
    known = ("debug", "info", "warning", "error")
    if value.lower() not in known:
        raise ValueError(f"is not one of {', '.join(known)}")
    return value.lower()


def _database_url(value: str) -> str:
    """The URL with the scheme SQLAlchemy wants for psycopg."""
    scheme, separator, rest = value.partition("://")
    if scheme not in {"postgresql", "postgres"} or not separator:
        raise ValueError("is not a postgresql:// URL")
    return f"postgresql+psycopg://{rest}"


def _upstreams(value: str) -> dict[str, str]:
    known = json.loads(value)
    if not isinstance(known, dict) or not all(isinstance(url, str) for url in known.values()):
        raise ValueError("is not a JSON object of service name to base URL")
    return {name: url.rstrip("/") for name, url in known.items()}


_port = _integer(1, 65535)


def _variable(parse: Callable[[str], Any] = _filled, default: Any = MISSING, *, secret: bool = False) -> Any:
    metadata = {"parse": parse, "secret": secret}
    if default is MISSING:
        return field(metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The typed configuration of one service process. A field's variable is its name in capitals.

    Attributes:
        topic_prefix: stands before every topic and consumer group.
        upstreams: base URLs of the other services by name.
        saga_resend_s: how long a command may stay unanswered before it is sent again.
        saga_deadline_s: how long a saga may take before it gives up, unless its start says otherwise.
        saga_retry_s: how long a saga is left alone that could not be moved when its timer ran out.
        outbox_max_attempts: how often the broker may refuse a message before it is parked.
        consumer_longest_retry_s: how long at most before a record whose handling failed is handled again.
        service_token_s: how long the token is good with which a service calls another one.
        delivery_timeout_s: how long one attempt at a broker, mail server or another service may take.
    """

    service_name: str = _variable()
    service_instance: str = _variable(default="1")
    host: str = _variable(default="127.0.0.1")
    port: int = _variable(_port)
    database_url: str | None = _variable(_database_url, None, secret=True)
    database_read_url: str | None = _variable(_database_url, None, secret=True)
    redis_url: str | None = _variable(default=None, secret=True)
    kafka_bootstrap: str | None = _variable(default=None)
    topic_prefix: str = _variable(str, "")
    smtp_host: str = _variable(default="127.0.0.1")
    smtp_port: int = _variable(_port, 25)
    upstreams: dict[str, str] = field(default_factory=dict, metadata={"parse": _upstreams, "secret": False})
    service_secret: str = _variable(secret=True)
    service_token_s: int = _variable(_integer(10, 3600), LIFETIME_S)
    admin_key: str = _variable(secret=True)
    log_level: str = _variable(_level, "info")
    saga_resend_s: float = _variable(_positive, 1.0)
    saga_deadline_s: float = _variable(_positive, 30.0)
    saga_retry_s: float = _variable(_positive, 10.0)
    outbox_poll_s: float = _variable(_positive, 1.0)
    outbox_max_attempts: int = _variable(_integer(1, 1000), 5)
    outbox_retry_s: float = _variable(_positive, 0.1)
    consumer_session_ms: int = _variable(_integer(6000, 300_000), 10_000)
    consumer_longest_retry_s: float = _variable(_positive, 1.0)
    password_scrypt_log2_n: int = _variable(_integer(4, 20), 14)
    delivery_timeout_s: float = _variable(_positive, 10.0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings those variables describe; the process's own if None.

        Raises:
            SettingsError: a variable is missing or wrong; the message names it and, unless it is secret, its value.
        """
        given = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for known in fields(cls):
            variable = known.name.upper()
            if variable in given:
                values[known.name] = _parsed(variable, given[variable], known.metadata)
            elif known.default is MISSING and known.default_factory is MISSING:
                raise SettingsError(f"environment variable {variable} is missing")
        return cls(**values)

    @property
    def instance(self) -> str:
        """This process among all processes of the platform: service and instance."""
        return f"{self.service_name}-{self.service_instance}"

    def require(self, name: str) -> str:
        """The value of a variable that only some services need.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if value is None:
            raise SettingsError(f"environment variable {name.upper()} is missing; {self.service_name} needs it")
        return str(value)

    def upstream(self, service: str) -> str:
        """The base URL of another service.

        Raises:
            SettingsError: UPSTREAMS does not name it.
        """
        if service not in self.upstreams:
            raise SettingsError(f"environment variable UPSTREAMS has no {service!r}; it has {sorted(self.upstreams)}")
        return self.upstreams[service]


def _parsed(variable: str, value: str, metadata: Mapping[str, Any]) -> Any:
    try:
        return metadata["parse"](value)
    except ValueError as wrong:
        shown = "(hidden)" if metadata["secret"] else repr(value)
        problem = str(wrong) if str(wrong).startswith("is ") else "cannot be read as the value it should be"
        raise SettingsError(f"environment variable {variable}={shown} {problem}") from wrong
