"""A cell: its nodes described, then all of them started at once.

The databases, the cache and the topics come up side by side. The services are forked when topics and primary are there:
they would retry, but a start that logs no failed attempt is easier to read.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from threading import Event

from airproof.environment.model import Environment
from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof.platform.driver import Driver
from airproof.providers.native import kafka, postgres, readiness
from airproof.providers.native.commands import unpack_tree
from airproof.providers.native.plan import Plan
from airproof.providers.native.platform_processes import SINK_ENTRY, base_environment
from airproof.providers.native.readiness import Probe, await_ready
from airproof.providers.native.redis import redis_spec
from airproof.providers.native.together import together
from airproof.providers.native.topics import create_topics, load_client
from airproof.providers.protocol import Progress
from airproof.supervision import ForkSpec, Supervisor

SHARED = "shared"
ZYGOTE = f"{SHARED}/zygote"
SHARED_KAFKA = f"{SHARED}/{kafka.NODE}"
CELL_PREFIX = "cell-"
SOLO_PREFIX = "solo-"
LOOPBACK = "127.0.0.1"
DATABASE_USER = "airproof"
CLUSTER_ROOM_MB = 384


def cell_fact(group: str) -> str:
    """The fact under which a cell's description is published when it is up."""
    return f"description of {group}"


def process_names(cell: CellDescription) -> dict[str, str]:
    """Node to the supervisor's name of its process."""
    return {
        node.name: SHARED_KAFKA if node.role is Role.KAFKA and not cell.private_broker else f"{cell.name}/{node.name}"
        for node in cell.nodes
    }


def node_probes(cell: CellDescription, driver: Driver) -> dict[str, Probe]:
    """Node to what asks it whether it is ready."""
    return {node.name: _probe(node, driver) for node in cell.nodes}


def _probe(node: Node, driver: Driver) -> Probe:
    by_role = {
        Role.POSTGRES_PRIMARY: postgres.primary_probe,
        Role.POSTGRES_REPLICA: postgres.replica_probe,
        Role.REDIS: readiness.redis_probe,
        Role.KAFKA: readiness.kafka_probe,
        Role.SMTP: readiness.smtp_probe,
    }
    if node.role is Role.SERVICE:
        return readiness.http_probe(node.endpoint, driver.manifest.service(node.name).ready_path)
    return by_role[node.role](node.endpoint)


def describe_cell(supervisor: Supervisor, plan: Plan, driver: Driver, *, private_broker: bool) -> CellDescription:
    """A new cell with a name and ports of its own, of which nothing runs yet. Its group is leased."""
    identity = secrets.token_hex(4)
    group = f"{SOLO_PREFIX if private_broker else CELL_PREFIX}{identity}"
    supervisor.lease(group)
    services = [service.name for service in driver.manifest.services]
    ports = iter(supervisor.take_ports(group, len(services) + 7))
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
    return CellDescription(
        name=group,
        nodes=backing + own,
        topic_prefix=f"c{identity}.",
        database_user=DATABASE_USER,
        secrets={"service_secret": secrets.token_urlsafe(32), "admin_key": secrets.token_urlsafe(24)},
        private_broker=private_broker,
    )


def _node(role: Role, ports: Iterator[int], source: str) -> Node:
    return Node(role.value, role, Endpoint(LOOPBACK, next(ports)), source)


class CellStart:
    """Starts the nodes of a described cell."""

    def __init__(
        self,
        supervisor: Supervisor,
        plan: Plan,
        environment: Environment,
        driver: Driver,
        cell: CellDescription,
        progress: Progress,
    ) -> None:
        self._supervisor = supervisor
        self._plan = plan
        self._environment = environment
        self._driver = driver
        self._cell = cell
        self._progress = progress
        self._names = process_names(cell)
        self._probes = node_probes(cell, driver)
        self._primary_up = Event()
        self._topics_there = Event()
        self._given_up = False

    def run(self) -> None:
        """Returns when every node is ready.

        Raises:
            NotReady: one is not; the message holds its last log lines. The group is removed.
        """
        together(
            self._start_primary,
            self._start_replica,
            self._start_redis,
            self._start_topics,
            self._start_services,
            give_up=self._give_up,
        )
        self._supervisor.put(cell_fact(self._cell.name), self._cell.to_json())

    def _give_up(self) -> None:
        self._given_up = True
        self._primary_up.set()
        self._topics_there.set()
        self._supervisor.remove(self._cell.name)

    def _start_primary(self) -> None:
        node, group = self._cell.node(Role.POSTGRES_PRIMARY.value), self._cell.name
        with self._progress.step("PostgreSQL primary"):
            data = self._supervisor.make_directory(group, node.name, room_mb=CLUSTER_ROOM_MB)
            unpack_tree(self._supervisor, group, "unpack-primary", self._plan.cluster, data)
            standby = self._environment.backing.postgres.standby
            self._supervisor.spawn(postgres.primary_spec(self._plan.postgres, group, data, node.endpoint, standby))
            self._await(node.name)
        self._primary_up.set()

    def _start_replica(self) -> None:
        node, group = self._cell.node(Role.POSTGRES_REPLICA.value), self._cell.name
        primary = self._cell.node(Role.POSTGRES_PRIMARY.value).endpoint
        with self._progress.step("PostgreSQL replica"):
            data = self._supervisor.make_directory(group, node.name, room_mb=CLUSTER_ROOM_MB)
            unpack_tree(self._supervisor, group, "unpack-replica", self._plan.cluster, data)
            postgres.mark_as_replica(data)
            self._supervisor.spawn(postgres.replica_spec(self._plan.postgres, group, data, node.endpoint, primary))
            self._await(node.name)

    def _start_redis(self) -> None:
        node, group = self._cell.node(Role.REDIS.value), self._cell.name
        with self._progress.step("Redis"):
            directory = self._supervisor.make_directory(group, node.name, room_mb=1)
            self._supervisor.spawn(redis_spec(self._plan.redis, group, directory, node.endpoint))
            self._await(node.name)

    def _start_topics(self) -> None:
        cell, node = self._cell, self._cell.node(kafka.NODE)
        with self._progress.step("Kafka"):
            if cell.private_broker and node.control is not None:
                spec = kafka.broker_spec(
                    self._plan.broker,
                    self._supervisor,
                    cell.name,
                    node.endpoint,
                    node.control,
                    java_flags=self._plan.java_flags,
                )
                self._supervisor.spawn(spec)
            load_client()
            self._await(node.name)
        with self._progress.step("topics"):
            if not cell.private_broker:
                undo = (sys.executable, "-m", create_topics.__module__, str(node.endpoint), cell.topic_prefix)
                self._supervisor.on_release(cell.name, undo, needs=SHARED)
            create_topics(str(node.endpoint), cell.topic_prefix, self._driver.topics)
        self._topics_there.set()

    def _start_services(self) -> None:
        cell = self._cell
        sink = cell.node(Role.SMTP.value)
        with self._progress.step("zygote"):
            self._fork(sink.name, SINK_ENTRY, self._sink_environment(sink))
        self._primary_up.wait()
        self._topics_there.wait()
        if self._given_up:
            return
        with self._progress.step("services"):
            for node in cell.services():
                launch = self._driver.launch(node.name, cell)
                settings = self._environment.service(node.name).settings
                self._fork(node.name, launch.entry, {**launch.environment, **settings})
            self._await(sink.name, *(node.name for node in cell.services()))

    def _sink_environment(self, sink: Node) -> Mapping[str, str]:
        journal = self._supervisor.make_directory(self._cell.name, sink.name, room_mb=1) / "journal"
        return {
            "SMTP_ENDPOINT": str(sink.endpoint),
            "CONTROL_ENDPOINT": str(sink.control),
            "JOURNAL": str(journal),
        }

    def _fork(self, node: str, entry: str, environment: Mapping[str, str]) -> None:
        complete = {**base_environment(self._environment), **environment}
        self._supervisor.fork(ForkSpec(self._names[node], self._cell.name, ZYGOTE, entry, complete))

    def _await(self, *nodes: str) -> None:
        probes = {self._names[node]: self._probes[node] for node in nodes}
        group = next(iter(probes)).partition("/")[0]
        await_ready(self._supervisor, group, probes, timeout_s=self._environment.timeouts.ready_s)


def start_cell(
    supervisor: Supervisor,
    plan: Plan,
    environment: Environment,
    driver: Driver,
    progress: Progress,
    *,
    private_broker: bool,
) -> CellDescription:
    """A new cell, healthy and ready, leased by this process.

    Raises:
        NotReady: a node did not become ready.
    """
    cell = describe_cell(supervisor, plan, driver, private_broker=private_broker)
    CellStart(supervisor, plan, environment, driver, cell, progress).run()
    return cell
