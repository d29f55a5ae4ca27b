"""What every provider has to do, tried with the toy platform on everything it registers."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection

import psycopg
import pytest

from airproof.environment.capabilities import LogAccess, ProcessControl, ProcessStatus, Resource, ResourceControl
from airproof.environment.model import Environment, ServiceOptions
from airproof.environment.topology import CellDescription, CellKind, Endpoint, Role
from airproof.errors import FaultUnsupported, NotReady
from airproof.platform.driver import Driver
from airproof.providers.protocol import Progress, Provider, Provision
from airproof.waiting import wait_until


@pytest.fixture(scope="module")
def shared_cell(provision: Provision) -> Iterator[CellDescription]:
    """Module scope: tests that break something leave it whole."""
    cell = provision.lease_cell()
    yield cell
    provision.return_cell(cell, reusable=True)


@pytest.fixture
def processes(provision: Provision, shared_cell: CellDescription) -> ProcessControl:
    found = provision.capabilities(shared_cell).processes
    if found is None:
        pytest.skip("the provider controls no processes")
    return found


@pytest.fixture
def logs(provision: Provision, shared_cell: CellDescription) -> LogAccess:
    found = provision.capabilities(shared_cell).logs
    if found is None:
        pytest.skip("the provider reads no logs")
    return found


@pytest.fixture
def resources(provision: Provision, shared_cell: CellDescription) -> ResourceControl:
    found = provision.capabilities(shared_cell).resources
    if found is None:
        pytest.skip("the provider limits nothing")
    return found


def answers(endpoint: Endpoint) -> bool:
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=2).close()
    except OSError:
        return False
    return True


def get(cell: CellDescription, service: str, path: str, timeout_s: float = 5.0) -> dict[str, object]:
    endpoint = cell.node(service).endpoint
    connection = HTTPConnection(endpoint.host, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        found: dict[str, object] = json.loads(answer.read())
        return found
    finally:
        connection.close()


def test_a_cell_has_every_backing_and_every_service(shared_cell: CellDescription, driver: Driver) -> None:
    assert {node.role for node in shared_cell.nodes} == set(Role) - {Role.WIRE}
    assert [node.name for node in shared_cell.services()] == [service.name for service in driver.manifest.services]
    assert all(answers(node.endpoint) for node in shared_cell.nodes)
    assert all(node.source for node in shared_cell.nodes)


def test_the_description_survives_json(shared_cell: CellDescription) -> None:
    assert CellDescription.from_json(json.loads(json.dumps(shared_cell.to_json()))) == shared_cell


def test_sources_are_named_and_stand_ins_are_among_them(provision: Provision) -> None:
    assert set(provision.sources) == {"PostgreSQL", "Redis", "Kafka", "SMTP"}
    assert set(provision.stand_ins) <= set(provision.sources)


def test_services_are_ready_when_the_cell_is_handed_out(shared_cell: CellDescription) -> None:
    assert get(shared_cell, "keeper", "/ready")["service"] == "keeper"


def test_the_replica_follows_the_primary(shared_cell: CellDescription) -> None:
    with psycopg.connect(shared_cell.postgres_url("toy"), autocommit=True) as primary:
        primary.execute("INSERT INTO things VALUES ('followed') ON CONFLICT DO NOTHING")
    with psycopg.connect(shared_cell.postgres_url("toy", replica=True), autocommit=True) as replica:
        query = "SELECT id FROM things WHERE id = 'followed'"
        wait_until(lambda: replica.execute(query).fetchone(), timeout_s=5, describe="the row on the replica")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            replica.execute("INSERT INTO things VALUES ('no')")


def test_the_platforms_role_is_no_superuser(shared_cell: CellDescription) -> None:
    with psycopg.connect(shared_cell.postgres_url("toy")) as connection:
        assert connection.execute("SHOW is_superuser").fetchone() == ("off",)


def test_a_killed_service_comes_back_on_the_same_address(
    shared_cell: CellDescription, processes: ProcessControl
) -> None:
    before = get(shared_cell, "greeter", "/health")
    incarnation = processes.state("greeter").incarnation

    killed = processes.kill("greeter")

    assert killed.status is ProcessStatus.EXITED
    assert not answers(shared_cell.node("greeter").endpoint)
    started = processes.start("greeter")
    assert (started.status, started.incarnation) == (ProcessStatus.RUNNING, incarnation + 1)
    assert get(shared_cell, "greeter", "/health")["pid"] != before["pid"]


def test_a_terminated_service_exits_with_success(processes: ProcessControl) -> None:
    assert processes.terminate("greeter").exit_code == 0
    processes.start("greeter")


def test_a_suspended_service_keeps_its_socket_and_answers_when_resumed(
    shared_cell: CellDescription, processes: ProcessControl
) -> None:
    assert processes.suspend("greeter").status is ProcessStatus.SUSPENDED
    assert answers(shared_cell.node("greeter").endpoint)
    with pytest.raises(TimeoutError):
        get(shared_cell, "greeter", "/health", timeout_s=0.3)
    assert processes.resume("greeter").status is ProcessStatus.RUNNING
    assert get(shared_cell, "greeter", "/health")


@pytest.mark.parametrize("node", ["postgres-primary", "postgres-replica", "redis", "smtp"])
def test_a_killed_backing_comes_back(shared_cell: CellDescription, processes: ProcessControl, node: str) -> None:
    processes.kill(node)
    assert not answers(shared_cell.node(node).endpoint)
    assert processes.start(node).status is ProcessStatus.RUNNING
    assert answers(shared_cell.node(node).endpoint)


def test_a_killed_primary_keeps_what_it_acknowledged(shared_cell: CellDescription, processes: ProcessControl) -> None:
    with psycopg.connect(shared_cell.postgres_url("toy"), autocommit=True) as connection:
        connection.execute("INSERT INTO things VALUES ('acknowledged') ON CONFLICT DO NOTHING")
        processes.kill("postgres-primary")
    processes.start("postgres-primary")
    with psycopg.connect(shared_cell.postgres_url("toy")) as connection:
        assert connection.execute("SELECT 1 FROM things WHERE id = 'acknowledged'").fetchone()


def test_the_primary_is_shut_down_although_clients_are_connected(
    shared_cell: CellDescription, processes: ProcessControl
) -> None:
    with psycopg.connect(shared_cell.postgres_url("toy")):
        assert processes.terminate("postgres-primary").exit_code == 0
    processes.start("postgres-primary")


def test_a_shared_broker_is_not_broken(shared_cell: CellDescription, processes: ProcessControl) -> None:
    assert not shared_cell.private_broker
    with pytest.raises(FaultUnsupported, match="private"):
        processes.kill("kafka")


def test_exits_are_told_once_and_in_order(
    provision: Provision, shared_cell: CellDescription, processes: ProcessControl
) -> None:
    seen = max((event.sequence for event in provision.exits(shared_cell, 0)), default=0)
    processes.kill("greeter")
    processes.start("greeter")
    exits = provision.exits(shared_cell, seen)
    assert [(event.name.rpartition("/")[2], event.requested) for event in exits] == [("greeter", True)]


def test_logs_are_read_from_a_mark(shared_cell: CellDescription, logs: LogAccess) -> None:
    mark = logs.mark()
    get(shared_cell, "keeper", "/health?unmistakable")
    lines = wait_until(
        lambda: [line for line in logs.since(mark) if "unmistakable" in line.text], timeout_s=5, describe="the log line"
    )
    assert [(line.node, line.level, line.logger) for line in lines] == [("keeper", "info", "toy")]


def test_what_becomes_of_a_migration_is_told(provision: Provision, shared_cell: CellDescription) -> None:
    migration = provision.capabilities(shared_cell).migration
    if migration is None:
        pytest.skip("the provider runs no migrations")
    failed = migration.run(2)
    assert [one.partition(":")[0] for one in failed] == ["status 1"] * 2
    assert 'relation "things" already exists' in failed[0]


AMOUNTS = {Resource.MEMORY: 2**26, Resource.CPU: 0.5, Resource.OPEN_FILES: 50, Resource.FILE_SIZE: 2**20}


@pytest.mark.parametrize("what", Resource)
@pytest.mark.parametrize("node", ["greeter", "postgres-primary"])
def test_a_limit_is_put_and_lifted_while_the_node_works(
    shared_cell: CellDescription, resources: ResourceControl, node: str, what: Resource
) -> None:
    try:
        limit = resources.limit(node, what, AMOUNTS[what])
    except FaultUnsupported as unsupported:
        if what is not Resource.CPU:
            raise
        pytest.skip(f"{unsupported}")
    assert (limit.node, limit.resource) == (node, what)
    assert get(shared_cell, "greeter", "/health")
    assert resources.lift(limit)
    assert "already" in resources.lift(limit)


def test_a_shared_broker_is_not_limited(resources: ResourceControl) -> None:
    with pytest.raises(FaultUnsupported, match="private"):
        resources.limit("kafka", Resource.MEMORY, 2**20)


def test_a_limit_is_gone_when_the_node_was_started_again(
    shared_cell: CellDescription, resources: ResourceControl, processes: ProcessControl
) -> None:
    limit = resources.limit("greeter", Resource.OPEN_FILES, 0)
    processes.kill("greeter")
    processes.start("greeter")
    assert resources.lift(limit)
    assert get(shared_cell, "greeter", "/health")


def test_cells_share_nothing_but_the_broker(provision: Provision, shared_cell: CellDescription) -> None:
    other = provision.lease_cell()
    try:
        assert other.topic_prefix != shared_cell.topic_prefix
        assert other.secrets != shared_cell.secrets
        both = {node.endpoint for node in other.nodes} & {node.endpoint for node in shared_cell.nodes}
        assert both == {shared_cell.node("kafka").endpoint}
        with psycopg.connect(other.postgres_url("toy"), autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)
    finally:
        provision.return_cell(other, reusable=False)
    assert not any(answers(node.endpoint) for node in other.nodes if node.name != "kafka")
    assert answers(shared_cell.node("keeper").endpoint)


def test_a_private_broker_may_be_killed_and_keeps_what_it_acknowledged(provision: Provision) -> None:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    cell = provision.lease_cell(CellKind.PRIVATE_BROKER)
    try:
        assert cell.private_broker
        bootstrap, topic = str(cell.node("kafka").endpoint), f"{cell.topic_prefix}things"
        processes = provision.capabilities(cell).processes
        assert processes is not None
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        producer.send(topic, b"kept").get(timeout=10)
        producer.close()
        processes.kill("kafka")
        processes.start("kafka")
        if cell.node("kafka").stand_in:
            return
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
        consumer.assign([TopicPartition(topic, 0)])
        assert next(consumer).value == b"kept"
        consumer.close()
    finally:
        provision.return_cell(cell, reusable=False)


def test_a_doubled_cell_has_two_instances_of_every_service_and_each_may_die_alone(provision: Provision) -> None:
    cell = provision.lease_cell(CellKind.DOUBLED)
    try:
        assert CellDescription.from_json(json.loads(json.dumps(cell.to_json()))) == cell
        first, second = (node.name for node in cell.instances("greeter"))
        assert first == "greeter"
        assert get(cell, first, "/health")["pid"] != get(cell, second, "/health")["pid"]
        processes = provision.capabilities(cell).processes
        if processes is None:
            return
        processes.kill(second)
        assert not answers(cell.node(second).endpoint)
        assert answers(cell.node(first).endpoint)
        processes.start(second)
        assert get(cell, second, "/ready")["service"] == "greeter"
    finally:
        provision.return_cell(cell, reusable=False)


def test_a_returned_cell_is_leased_again(provision: Provision) -> None:
    first = provision.lease_cell()
    provision.return_cell(first, reusable=True)
    again = provision.lease_cell()
    provision.return_cell(again, reusable=False)
    assert again == first
    assert first not in provision.cells()


def test_a_free_cell_that_is_broken_is_not_handed_out(provision: Provision) -> None:
    broken = provision.lease_cell()
    processes = provision.capabilities(broken).processes
    if processes is None:
        pytest.skip("the provider controls no processes")
    processes.kill("greeter")
    provision.return_cell(broken, reusable=True)
    other = provision.lease_cell()
    provision.return_cell(other, reusable=False)
    assert other.name != broken.name


def test_another_process_of_the_run_joins(
    provider: Provider, provision: Provision, environment: Environment, driver: Driver, shared_cell: CellDescription
) -> None:
    joined = provider.join(environment, driver, provision.handle)
    cell = joined.lease_cell()
    assert cell.node("kafka").endpoint == shared_cell.node("kafka").endpoint
    assert cell in provision.cells()
    joined.close()
    wait_until(lambda: cell not in provision.cells(), timeout_s=10, describe="the lease to end with its process")
    assert answers(shared_cell.node("keeper").endpoint)


def test_a_service_that_dies_at_start_shows_its_last_lines(
    provider: Provider, environment: Environment, driver: Driver, provision: Provision
) -> None:
    dying = environment.model_copy(update={"services": {"greeter": ServiceOptions(settings={"DIES": "yes"})}})
    joined = provider.join(dying, driver, provision.handle)
    with pytest.raises(NotReady, match=r"(?s)greeter exited with status 3.*no licence for today"):
        joined.lease_cell()
    joined.close()


def test_a_kept_environment_is_found_again_and_ends_when_told(
    provider: Provider, environment: Environment, driver: Driver, progress: Progress
) -> None:
    kept = environment.model_copy(update={"name": f"toy-kept-{uuid.uuid4().hex[:8]}"})
    assert provider.attach(kept, driver) is None
    first = provider.open(kept, driver, keep=True, progress=progress)
    cell = first.lease_cell()
    first.return_cell(cell, reusable=True)
    first.close()

    second = provider.open(kept, driver, keep=True, progress=progress)

    assert second.handle == first.handle
    assert second.lease_cell() == cell
    second.stop()
    assert not any(answers(node.endpoint) for node in cell.nodes)
    assert provider.attach(kept, driver) is None


def test_nothing_answers_any_more_when_the_first_process_has_closed(
    provider: Provider, environment: Environment, driver: Driver, progress: Progress
) -> None:
    opened = provider.open(environment, driver, progress=progress)
    cell = opened.lease_cell()
    opened.close()
    assert not any(answers(node.endpoint) for node in cell.nodes)


def test_checking_finds_everything_and_changes_nothing(
    provider: Provider, environment: Environment, driver: Driver, provision: Provision
) -> None:
    before = provision.cells()
    findings = provider.check(environment, driver)
    assert all(finding.ok for finding in findings)
    assert {"PostgreSQL", "Redis", "Kafka", "SMTP"} <= {finding.what for finding in findings}
    assert provision.cells() == before
