from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof.platform.registry import load_driver
from airproof_pyairtable.driver import PyAirtableDriver
from airproof_pyairtable.manifest import GATEWAY, MANIFEST
from airproof_pyairtable.places import EVENT_TOPICS, commands_topic, node_of

BACKING = (Role.POSTGRES_PRIMARY, Role.POSTGRES_REPLICA, Role.REDIS, Role.KAFKA, Role.SMTP)


@pytest.fixture
def cell() -> CellDescription:
    """A cell on made-up addresses."""
    backing = [Node(role.value, role, Endpoint(f"{role.value}.test", 1)) for role in BACKING]
    services = [Node(one.name, Role.SERVICE, Endpoint(f"{one.name}.test", 80)) for one in MANIFEST.services]
    secrets = {"service_secret": "s3cret", "admin_key": "adm1n"}
    return CellDescription("c1", (*backing, *services), topic_prefix="c1.", secrets=secrets)


def test_the_driver_is_found_by_its_name() -> None:
    assert isinstance(load_driver("pyairtable"), PyAirtableDriver)


def test_a_service_is_told_where_everything_is(cell: CellDescription) -> None:
    told = PyAirtableDriver().launch("user-service", cell).environment
    assert told["DATABASE_URL"] == "postgresql://airproof@postgres-primary.test:1/users"
    assert told["DATABASE_READ_URL"] == "postgresql://airproof@postgres-replica.test:1/users"
    assert told["KAFKA_BOOTSTRAP"] == "kafka.test:1"
    assert told["TOPIC_PREFIX"] == "c1."
    assert json.loads(told["UPSTREAMS"])["auth-service"] == "http://auth-service.test:80"


def test_a_service_without_a_database_gets_none(cell: CellDescription) -> None:
    assert "DATABASE_URL" not in PyAirtableDriver().launch(GATEWAY, cell).environment


def test_every_value_is_text(cell: CellDescription) -> None:
    for service in MANIFEST.services:
        values = PyAirtableDriver().launch(service.name, cell).environment.values()
        assert all(isinstance(value, str) for value in values)


def test_nothing_is_connected_before_it_is_used(cell: CellDescription) -> None:
    PyAirtableDriver().connect(cell, seed=1).close()


def test_the_second_instance_of_a_service_is_known_by_what_it_calls_itself_and_reads_its_own_partition(
    cell: CellDescription,
) -> None:
    again = Node("user-service.2", Role.SERVICE, Endpoint("again.test", 80), instance_of="user-service")
    doubled = replace(cell, nodes=(*cell.nodes, again))
    for node in ("user-service", "user-service.2"):
        told = PyAirtableDriver().launch(node, doubled).environment
        assert node_of(f"{told['SERVICE_NAME']}-{told['SERVICE_INSTANCE']}") == node
    partitions = {topic.name: topic.within(doubled).partitions for topic in PyAirtableDriver.topics}
    for topic in (commands_topic("user-service"), EVENT_TOPICS["workspace.created"]):
        assert partitions.pop(topic) == len(doubled.instances("user-service"))
    assert set(partitions.values()) == {1}
