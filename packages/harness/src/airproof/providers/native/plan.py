"""What a run took for each backing, decided by its first process and read by the others as a fact of the supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from airproof.environment.topology import Endpoint
from airproof.providers.native.kafka import Broker
from airproof.providers.native.postgres import PostgresServer
from airproof.providers.native.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a new cell needs and that is the same for all cells of a run.

    Attributes:
        cluster: the prepared PostgreSQL cluster, a tar file.
        kafka: where the shared broker answers.
        java_flags: what starts another broker as fast as the shared one.
        notes: what the reader of the run should know.
    """

    postgres: PostgresServer
    cluster: Path
    redis: RedisServer
    broker: Broker
    kafka: Endpoint
    java_flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all is still there that new cells are made from; a cache may have been cleared meanwhile."""
        formatted = [self.broker.formatted] if self.broker.formatted else []
        return all(path.exists() for path in (self.cluster, *self.broker.class_path, *formatted))

    def sources(self) -> dict[str, str]:
        """Backing to what was taken, for the reader."""
        return {
            "PostgreSQL": self.postgres.source,
            "Redis": self.redis.source,
            "Kafka": self.broker.source,
            "SMTP": "aiosmtpd",
        }

    def stand_ins(self) -> tuple[str, ...]:
        """The backings that are not the real product."""
        return ("Kafka",) if self.broker.stand_in else ()

    def to_json(self) -> Any:
        """A JSON value that `from_json` reads back."""
        return _ADAPTER.dump_python(self, mode="json")

    @staticmethod
    def from_json(data: Any) -> Plan:
        """The plan that `to_json` wrote."""
        return _ADAPTER.validate_python(data)


_ADAPTER: TypeAdapter[Plan] = TypeAdapter(Plan)
