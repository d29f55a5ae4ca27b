"""A cell: all of its nodes started at once, and all of them removed.

The databases, the cache and the topics come up side by side. The services are forked when topics and primary are there:
they would retry, but a start that logs no failed attempt is easier to read.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from threading import Event

from airproof.environment.model import Environment
from airproof.environment.topology import CellDescription, CellKind, Node, Role
from airproof.platform.driver import Driver
from airproof.providers.native import kafka, postgres
from airproof.providers.native.commands import unpack_tree
from airproof.providers.native.description import (
    ZYGOTE,
    cell_fact,
    describe_cell,
    node_probes,
    process_names,
    undo_group,
)
from airproof.providers.native.plan import Plan
from airproof.providers.native.platform_processes import SINK_ENTRY, base_environment
from airproof.providers.native.readiness import await_ready
from airproof.providers.native.redis import redis_spec
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.providers.native.together import together
from airproof.providers.native.topics import create_topics, delete_topics, load_client
from airproof.providers.native.wires import WIRE_ENTRY, write_configuration
from airproof.providers.protocol import Progress
from airproof.supervision import ForkSpec, Supervisor

CLUSTER_ROOM_MB = 384
GONE_TIMEOUT_S = 10.0


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
        self._wire_up = Event()
        self._topics_there = Event()
        self._given_up = False

    def run(self) -> None:
        """Returns when every node is ready.

        Raises:
            NotReady: one is not; the message holds its last log lines. The group is removed.
        """
        forget_with(self._supervisor, self._cell.name)
        together(
            self._start_primary,
            self._start_replica,
            self._start_redis,
            self._start_topics,
            self._start_wire,
            self._start_services,
            give_up=self._give_up,
        )
        self._supervisor.put(cell_fact(self._cell.name), self._cell.to_json())

    def _give_up(self) -> None:
        self._given_up = True
        self._primary_up.set()
        self._wire_up.set()
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
            note_segments(self._supervisor, group, self._names[node.name])
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
            note_segments(self._supervisor, group, self._names[node.name])

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
                    expendable=True,
                    java_flags=self._plan.java_flags,
                )
                self._supervisor.spawn(spec)
            load_client()
            self._await(node.name)
        with self._progress.step("topics"):
            if not cell.private_broker:
                self._arrange_undo(node)
            topics = [topic.within(cell) for topic in self._driver.topics]
            create_topics(str(node.endpoint), cell.topic_prefix, topics)
        self._topics_there.set()

    def _arrange_undo(self, broker: Node) -> None:
        """Has the topics deleted also if this process dies before it can do so itself, which would be quicker."""
        cell, needed = self._cell, undo_group(self._cell)
        self._supervisor.lease(needed)
        self._supervisor.release(needed)
        undo = (sys.executable, "-m", create_topics.__module__, str(broker.endpoint), cell.topic_prefix)
        self._supervisor.on_release(cell.name, undo, needs=needed)

    def _start_services(self) -> None:
        cell = self._cell
        sink = cell.node(Role.SMTP.value)
        with self._progress.step("zygote"):
            self._fork(sink.name, SINK_ENTRY, self._sink_environment(sink))
        for needed in (self._primary_up, self._wire_up, self._topics_there):
            needed.wait()
        if self._given_up:
            return
        with self._progress.step("services"):
            for node in cell.services():
                launch = self._driver.launch(node.name, cell.as_seen_by(node.name))
                settings = self._environment.service(node.service).settings
                self._fork(node.name, launch.entry, {**launch.environment, **settings})
            self._await(sink.name, *(node.name for node in cell.services()))

    def _start_wire(self) -> None:
        if self._cell.links:
            with self._progress.step("wire"):
                directory = self._supervisor.make_directory(self._cell.name, Role.WIRE.value, room_mb=1)
                self._fork(Role.WIRE.value, WIRE_ENTRY, write_configuration(self._cell, directory))
                self._await(Role.WIRE.value)
        self._wire_up.set()

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


def remove_cell(supervisor: Supervisor, cell: CellDescription) -> None:
    """Removes everything the cell has, its topics by this process: the undo command would take ten times as long.

    Raises:
        CleanUpError: something could not be undone; the rest was.
    """
    try:
        if not cell.private_broker:
            states = supervisor.states(cell.name)
            for state in states:
                supervisor.signal(state.node, signal.SIGKILL)
            for state in states:
                supervisor.wait_exit(state.node, GONE_TIMEOUT_S)
            delete_topics(str(cell.node(kafka.NODE).endpoint), cell.topic_prefix)
            supervisor.remove(undo_group(cell))
    finally:
        supervisor.remove(cell.name)


def start_cell(
    supervisor: Supervisor,
    plan: Plan,
    environment: Environment,
    driver: Driver,
    progress: Progress,
    kind: CellKind,
) -> CellDescription:
    """A new cell, healthy and ready, leased by this process.

    Raises:
        NotReady: a node did not become ready.
    """
    cell = describe_cell(supervisor, plan, driver, kind)
    try:
        CellStart(supervisor, plan, environment, driver, cell, progress).run()
    except BaseException:
        # Once more: a task that had not noticed yet may have begun the group anew.
        supervisor.remove(cell.name)
        supervisor.remove(undo_group(cell))
        raise
    return cell
