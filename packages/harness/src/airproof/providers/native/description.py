"""A cell as data: the names of its processes and groups, its ports, what asks its nodes whether they are ready."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from airproof.environment.topology import CellDescription, CellKind, Endpoint, Link, Node, Role
from airproof.platform.driver import Driver
from airproof.platform.manifest import Manifest
from airproof.providers.native import kafka, postgres, readiness
from airproof.providers.native.plan import Plan
from airproof.providers.native.readiness import Probe
from airproof.providers.native.wires import connections, listening_probe
from airproof.supervision import Supervisor

SHARED = "shared"
ZYGOTE = f"{SHARED}/zygote"
SHARED_KAFKA = f"{SHARED}/{kafka.NODE}"
PREFIXES = {
    CellKind.PLAIN: "cell-",
    CellKind.WIRED: "wired-",
    CellKind.DOUBLED: "twin-",
    CellKind.PRIVATE_BROKER: "solo-",
}
LOOPBACK = "127.0.0.1"
DATABASE_USER = "airproof"


def cell_fact(group: str) -> str:
    """The fact under which a cell's description is published when it is up."""
    return f"description of {group}"


def undo_group(cell: CellDescription) -> str:
    """An empty group that is there as long as the cell's topics on a shared broker are to be deleted."""
    return f"topics-of-{cell.name}"


def process_names(cell: CellDescription) -> dict[str, str]:
    """Node to the supervisor's name of its process."""
    return {
        node.name: SHARED_KAFKA if node.role is Role.KAFKA and not cell.private_broker else f"{cell.name}/{node.name}"
        for node in cell.nodes
    }


def node_probes(cell: CellDescription, driver: Driver) -> dict[str, Probe]:
    """Node to what asks it, and then the links to it, whether they are ready."""
    linked = {link.target for link in cell.links}
    found = {node.name: probe(cell, node, driver.manifest) for node in cell.nodes}
    return {
        name: readiness.all_of(own, listening_probe(cell, name)) if name in linked else own
        for name, own in found.items()
    }


def probe(cell: CellDescription, node: Node, manifest: Manifest) -> Probe:
    """What asks the node whether it is ready, in its own protocol."""
    by_role = {
        Role.POSTGRES_PRIMARY: postgres.primary_probe,
        Role.POSTGRES_REPLICA: postgres.replica_probe,
        Role.REDIS: readiness.redis_probe,
        Role.KAFKA: readiness.kafka_probe,
        Role.SMTP: readiness.smtp_probe,
    }
    if node.role is Role.SERVICE:
        return readiness.http_probe(node.endpoint, manifest.service(node.service).ready_path)
    if node.role is Role.WIRE:
        return readiness.http_probe(node.endpoint, "/health", token=cell.secrets["wire_token"])
    return by_role[node.role](node.endpoint)


def describe_cell(supervisor: Supervisor, plan: Plan, driver: Driver, kind: CellKind) -> CellDescription:
    """A new cell with a name and ports of its own, of which nothing runs yet. Its group is leased."""
    identity = secrets.token_hex(4)
    group = PREFIXES[kind] + identity
    supervisor.lease(group)
    services = [service.name for service in driver.manifest.services]
    private_broker = kind is CellKind.PRIVATE_BROKER
    ports = iter(supervisor.take_ports(group, 2 * len(services) + 8))
    broker = Endpoint(LOOPBACK, next(ports)) if private_broker else plan.kafka
    stand_in = plan.broker.stand_in is not None
    backing = (
        _node(Role.POSTGRES_PRIMARY, ports, plan.postgres.source),
        _node(Role.POSTGRES_REPLICA, ports, plan.postgres.source),
        _node(Role.REDIS, ports, plan.redis.source),
        Node(
            kafka.NODE,
            Role.KAFKA,
            broker,
            plan.broker.source,
            control=Endpoint(LOOPBACK, next(ports)) if private_broker else None,
            stand_in=stand_in,
        ),
        Node(
            Role.SMTP.value,
            Role.SMTP,
            Endpoint(LOOPBACK, next(ports)),
            "aiosmtpd",
            control=Endpoint(LOOPBACK, next(ports)),
        ),
    )
    own = tuple(Node(name, Role.SERVICE, Endpoint(LOOPBACK, next(ports)), "forked") for name in services)
    more = [
        Node(f"{name}.2", Role.SERVICE, Endpoint(LOOPBACK, next(ports)), "forked", instance_of=name)
        for name in services
    ]
    wire = (Node(Role.WIRE.value, Role.WIRE, Endpoint(LOOPBACK, next(ports)), "airproof.wire"),)
    between = connections(driver.manifest) if kind is CellKind.WIRED else ()
    listening = [Endpoint(LOOPBACK, port) for port in supervisor.take_ports(group, len(between))] if between else []
    return CellDescription(
        name=group,
        nodes=(*backing, *own, *(more if kind is CellKind.DOUBLED else ()), *(wire if between else ())),
        topic_prefix=f"c{identity}.",
        database_user=DATABASE_USER,
        database_admin=postgres.SUPERUSER,
        secrets={
            "service_secret": secrets.token_urlsafe(32),
            "admin_key": secrets.token_urlsafe(24),
            "wire_token": secrets.token_urlsafe(24),
        },
        kind=kind,
        links=tuple(Link(*link, endpoint) for link, endpoint in zip(between, listening, strict=True)),
    )


def _node(role: Role, ports: Iterator[int], source: str) -> Node:
    return Node(role.value, role, Endpoint(LOOPBACK, next(ports)), source)
