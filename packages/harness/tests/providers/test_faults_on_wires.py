"""Faults at messages, on a wired cell of the toy platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

import pytest

from airproof.environment.capabilities import Capabilities, ProcessStatus
from airproof.environment.topology import CLIENT, CellDescription, CellKind, Role
from airproof.faults.moments import crash_loop, killed_at, suspended_at
from airproof.faults.nemesis import Anchor, Disturbance, Nemesis, Schedule, schedule
from airproof.faults.network import partition
from airproof.history import History
from airproof.providers.protocol import Provision
from airproof.waiting import wait_until
from airproof.wire import Wire, on, postgres
from airproof.wire.building import Selected

SOON_S = 20.0


@dataclass
class Target:
    description: CellDescription
    capabilities: Capabilities
    history: History = field(default_factory=History)

    @property
    def wire(self) -> Wire:
        endpoint = self.description.node(Role.WIRE.value).endpoint
        return Wire(endpoint.host, endpoint.port, self.description.secrets["wire_token"])

    def running(self, node: str) -> bool:
        processes = self.capabilities.processes
        assert processes
        return processes.state(node).status is ProcessStatus.RUNNING


@pytest.fixture(scope="module")
def leased(provision: Provision) -> Iterator[CellDescription]:
    cell = provision.lease_cell(CellKind.WIRED)
    yield cell
    provision.return_cell(cell, reusable=False)


@pytest.fixture
def target(provision: Provision, leased: CellDescription) -> Iterator[Target]:
    target = Target(leased, provision.capabilities(leased))
    yield target
    assert target.wire.health()["rules"] == 0
    # What was cut off from its database takes a moment to connect again.
    wait_until(lambda: ready(target) == 200, timeout_s=SOON_S, describe="the keeper to answer through its wire")


def ready(target: Target, timeout_s: float = 10.0) -> int:
    """Asks the keeper through the wire whether its database answers; 0 if the connection ends."""
    endpoint = target.description.as_seen_by(CLIENT).node("keeper").endpoint
    connection = HTTPConnection(endpoint.host, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def counting() -> Selected:
    """The keeper has counted its things, and does not know how many there are."""
    return on("keeper", "postgres-primary").when(postgres.query(containing="count(*)")).after()


def test_a_cell_is_leased_when_all_its_wires_listen(provision: Provision) -> None:
    cell = provision.lease_cell(CellKind.WIRED)
    try:
        target = Target(cell, provision.capabilities(cell))
        assert [link["name"] for link in target.wire.links() if not link["listening"]] == []
    finally:
        provision.return_cell(cell, reusable=False)


def test_a_node_is_back_when_its_wires_listen_again(target: Target) -> None:
    assert target.capabilities.processes
    for _ in range(3):
        target.capabilities.processes.kill("keeper")
        assert ready(target) == 0
        target.capabilities.processes.start("keeper")
        assert ready(target) == 200


def test_a_service_dies_between_its_querys_end_and_the_answer(target: Target) -> None:
    with killed_at(target, "keeper", counting()) as fault:
        assert ready(target) == 0
        fault.wait(timeout_s=SOON_S)
        assert not target.running("keeper")
    assert not target.history.recording().unhealed()


def test_a_service_is_frozen_at_its_query(target: Target) -> None:
    with suspended_at(target, "keeper", counting()) as fault:
        assert ready(target, timeout_s=0.5) == 0
        fault.wait(timeout_s=SOON_S)
        assert not target.running("keeper")


def test_a_service_crashes_at_its_first_two_queries(target: Target) -> None:
    with crash_loop(target, "greeter", 2) as fault:
        fault.wait(timeout_s=SOON_S, times=2)
    assert target.running("greeter")


def test_a_service_without_its_database_is_not_ready(target: Target) -> None:
    with partition(target, "keeper", ["postgres-primary", "redis", "kafka"]):
        assert ready(target) == 503


def test_a_nemesis_kills_at_a_message_and_heals(target: Target) -> None:
    at = Anchor("keeper", "postgres-primary", "postgres", "*", containing="count(*)")
    wanted = Disturbance("killed", ("greeter",), start=at)
    with Nemesis(target, Schedule((wanted,)), required=True):
        assert ready(target) == 200
        assert not target.running("greeter")
    assert target.running("greeter")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_nemesis_of_a_seed_leaves_nothing_behind(target: Target, seed: int) -> None:
    with Nemesis(target, schedule(seed, target.description.links, 4)):
        for _ in range(5):
            ready(target, timeout_s=1.0)
    assert target.running("keeper")
    assert target.running("greeter")
    assert not target.history.recording().unhealed()
