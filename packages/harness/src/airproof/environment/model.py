"""The typed model of an environment: where and how a platform runs.

One file `environments/<name>.yml` yields one `Environment`; `airproof.environment.loader` reads it. The model knows
every environment, also those whose provider is not installed here.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=0, le=64)]
AtLeastOne = Annotated[int, Field(ge=1, le=64)]


class Section(BaseModel):
    """A part of the file: nothing is converted, nothing unknown is let through, nothing changes later."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ProviderChoice(StrEnum):
    """Who brings the environment up. `auto` takes containers where they can be had, else native processes."""

    AUTO = "auto"
    NATIVE = "native"
    CONTAINERS = "containers"
    HOSTS = "hosts"


class PostgresSource(StrEnum):
    """Where PostgreSQL comes from."""

    AUTO = "auto"
    INSTALLED = "installed"
    WHEEL = "wheel"


class RedisSource(StrEnum):
    """Where Redis comes from."""

    AUTO = "auto"
    INSTALLED = "installed"
    WHEEL = "wheel"


class KafkaSource(StrEnum):
    """Where Kafka comes from. `auto` falls back to the stand-in only where the jars cannot be reached."""

    AUTO = "auto"
    INSTALLED = "installed"
    JARS = "jars"
    STAND_IN = "stand-in"


class SmtpSource(StrEnum):
    """Where the mail sink comes from."""

    AUTO = "auto"
    AIOSMTPD = "aiosmtpd"


class Standby(StrEnum):
    """How the read replica follows its primary."""

    ASYNCHRONOUS = "asynchronous"
    SYNCHRONOUS = "synchronous"


class Postgres(Section):
    """PostgreSQL of a cell: a primary and its standby."""

    source: PostgresSource = PostgresSource.AUTO
    standby: Standby = Standby.ASYNCHRONOUS


class Redis(Section):
    """Redis of a cell."""

    source: RedisSource = RedisSource.AUTO
    replicas: Count = 0
    sentinels: Count = 0


class Kafka(Section):
    """Kafka, shared by the cells of a run."""

    source: KafkaSource = KafkaSource.AUTO
    brokers: AtLeastOne = 1


class Smtp(Section):
    """The mail sink of a cell."""

    source: SmtpSource = SmtpSource.AUTO


class Backing(Section):
    """The backing services; always the real thing where it can be had."""

    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    kafka: Kafka = Kafka()
    smtp: Smtp = Smtp()


class ServiceOptions(Section):
    """How one service of the platform runs."""

    instances: AtLeastOne = 1
    settings: dict[str, str] = Field(default_factory=dict)
    """Environment variables given to the service on top of those the driver gives it."""


class Limits(Section):
    """What a run may use."""

    cores: AtLeastOne | None = None
    memory_mb: Annotated[int, Field(ge=256)] | None = None
    duration_s: Seconds | None = None


class Timeouts(Section):
    """How long is waited before giving up; a healthy environment needs a fraction of each."""

    ready_s: Seconds = 60.0
    """until a cell is healthy and ready, or a node that was started again"""
    barrier_s: Seconds = 10.0
    """until a cell is quiet between two tests"""
    test_s: Seconds = 60.0
    """for one scenario"""


class CleanUp(StrEnum):
    """What happens to a cell after a test that broke something: used again when quiet and healthy, or removed."""

    NORMAL = "normal"
    AGGRESSIVE = "aggressive"


class Security(Section):
    """Protection of links and data."""

    tls: bool = False
    encrypted_at_rest: bool = False


class Monitoring(StrEnum):
    """How much is watched beside the tests."""

    NONE = "none"
    FULL = "full"


class Environment(Section):
    """Where and how a platform runs."""

    name: str
    """as the file is called, without its suffix"""
    description: str = ""
    platform: str
    """the driver, as registered under the entry point group `airproof.platforms`"""
    provider: ProviderChoice = ProviderChoice.AUTO
    disposable: bool = False
    """says that everything in it may be broken and lost; never inherited by `extends`"""
    workers: AtLeastOne = 1
    """cells that run tests at the same time"""
    backing: Backing = Backing()
    services: dict[str, ServiceOptions] = Field(default_factory=dict)
    """by service name; `default` stands for those that are not named"""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    cleanup: CleanUp = CleanUp.NORMAL
    security: Security = Security()
    monitoring: Monitoring = Monitoring.NONE
    keep: bool = False
    """leave the environment up after the run"""
    platform_path: Path | None = None
    """a directory put first on the platform's import path: how defects are applied"""

    def service(self, name: str) -> ServiceOptions:
        """The options of that service, or the default ones."""
        return self.services.get(name) or self.services.get("default") or ServiceOptions()
