from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from time import monotonic

import pytest

from airproof.environment.topology import CLIENT, CellDescription, Endpoint, Link, Node, Role
from airproof.errors import FaultNotObserved, FaultUnsupported
from airproof.faults.links import BOTH, THERE, links_across
from airproof.faults.network import NetworkFault, disconnect, flapping, latency, loss, partition, slow_link

from .conftest import Client, WiredCell

AT = Endpoint("127.0.0.1", 1)
ROLES = {"desk": Role.SERVICE, "till": Role.SERVICE, "postgres-primary": Role.POSTGRES_PRIMARY}
NODES = tuple(Node(name, role, AT) for name, role in {**ROLES, "postgres-replica": Role.POSTGRES_REPLICA}.items())
LINKS = (
    Link("desk", "till", "http", AT),
    Link("till", "desk", "http", AT),
    Link("desk", "postgres-primary", "postgres", AT),
    Link(CLIENT, "desk", "http", AT),
)
CELL = CellDescription("c1", NODES, links=LINKS)


@pytest.fixture
def client(wired_cell: WiredCell) -> Iterator[Client]:
    with Client(wired_cell) as client:
        assert client.ask("PING") == "+PONG\r\n"
        yield client


def test_a_partition_takes_every_link_between_the_sets_and_no_other() -> None:
    across = links_across(CELL, "desk", ["till", "postgres-primary"])
    assert [(link.name, direction) for link, direction in across] == [
        ("desk>till", BOTH),
        ("desk>postgres-primary", BOTH),
        ("till>desk", BOTH),
    ]


def test_one_way_is_the_same_way_whoever_opened_the_connection() -> None:
    across = links_across(CELL, "desk", "till", one_way=True)
    assert [(link.name, direction) for link, direction in across] == [
        ("desk>till", THERE),
        ("till>desk", "server->client"),
    ]


@pytest.mark.parametrize(
    ("ones", "others", "why"),
    [
        ("desk", "postgres-replica", "no link leads between {desk} and {postgres-replica}; there are desk>till"),
        ("postgres-primary", ["postgres-replica", "desk"], "suspend postgres-replica instead"),
        ("desk", "nobody", "no node 'nobody'"),
        ("desk", ["desk", "till"], "both sides"),
    ],
)
def test_what_cannot_be_parted_is_refused_with_the_reason(ones: str, others: str | list[str], why: str) -> None:
    with pytest.raises(FaultUnsupported, match=why):
        links_across(CELL, ones, others)


def test_a_cell_without_wires_names_the_fixture() -> None:
    with pytest.raises(FaultUnsupported, match="fixture `wire`"):
        links_across(CellDescription("c1", NODES), "desk", "till")


def test_latency_is_added_each_way(wired_cell: WiredCell, client: Client) -> None:
    began = monotonic()
    with latency(wired_cell, "desk", "redis", 0.05) as fault:
        client.ask("PING")
        assert monotonic() - began >= 0.1
        assert fault.fired == 2
    (recorded,) = wired_cell.history.recording().faults
    assert [one.applied.action for one in recorded.evidence if one.applied] == ["delay", "delay"]
    assert recorded.healed


def test_a_partition_is_silent_and_ends_its_connections_when_it_heals(wired_cell: WiredCell, client: Client) -> None:
    with Client(wired_cell, "till") as other:
        with partition(wired_cell, "desk", "redis"):
            assert not client.answers("PING", within_s=0.2)
            with Client(wired_cell) as late:
                assert not late.answers("PING", within_s=0.2)
            assert other.ask("PING") == "+PONG\r\n"
        with pytest.raises(ConnectionError):
            client.ask("PING")
        with Client(wired_cell) as new:
            assert new.ask("PING") == "+PONG\r\n"


def test_a_partition_that_nobody_noticed_is_not_observed(wired_cell: WiredCell, client: Client) -> None:
    with pytest.raises(FaultNotObserved), partition(wired_cell, "desk", "redis"):
        pass


def test_a_partition_swallows_the_reply_to_what_was_asked_before(wired_cell: WiredCell, client: Client) -> None:
    assert not client.answers("BLPOP", "parted", "0", within_s=0.2)
    with Client(wired_cell, "till") as other:
        with partition(wired_cell, "desk", "redis"):
            other.ask("RPUSH", "parted", "x")
            assert not client.answers(within_s=0.2)
        assert other.ask("LLEN", "parted") == ":0\r\n"


def test_disconnected_clients_can_connect_again(wired_cell: WiredCell, client: Client) -> None:
    with Client(wired_cell, "till") as other:
        assert other.ask("PING") == "+PONG\r\n"
        assert disconnect(wired_cell, "desk", "redis") == 1
        with pytest.raises(ConnectionError):
            client.ask("PING")
        assert other.ask("PING") == "+PONG\r\n"
    with Client(wired_cell) as again:
        assert again.ask("PING") == "+PONG\r\n"
    (recorded,) = wired_cell.history.recording().faults
    assert [one.applied.action for one in recorded.evidence if one.applied] == ["reset"]


def test_a_short_partition_loses_nothing(wired_cell: WiredCell, client: Client) -> None:
    with partition(wired_cell, "desk", "redis", late=True):
        assert not client.answers("INCR", "late", within_s=0.2)
    assert client.answers("PING", within_s=5)


def test_a_one_way_partition_lets_the_request_take_effect(wired_cell: WiredCell, client: Client) -> None:
    with Client(wired_cell, "till") as other:
        other.ask("DEL", "asymmetric")
        with partition(wired_cell, "redis", "desk", one_way=True):
            assert not client.answers("INCR", "asymmetric", within_s=0.2)
        assert other.ask("GET", "asymmetric") == "$1\r\n1\r\n"


def test_loss_takes_the_same_messages_for_the_same_seed(wired_cell: WiredCell) -> None:
    def lost(seed: int) -> list[int]:
        found = []
        with loss(wired_cell, "desk", "redis", 0.3, seed=seed):
            for number in range(20):
                with Client(wired_cell) as client:
                    try:
                        client.ask("PING")
                    except ConnectionError:
                        found.append(number)
        return found

    first = lost(1)
    assert 0 < len(first) < 20
    assert lost(1) == first


def test_a_lost_connection_is_refused_or_never_answered(wired_cell: WiredCell) -> None:
    with (
        loss(wired_cell, "desk", "redis", 1.0, of="connection", seed=1),
        pytest.raises(ConnectionError),
        Client(wired_cell) as client,
    ):
        client.ask("PING")


def test_a_slow_link_passes_its_bytes_at_its_rate(wired_cell: WiredCell, client: Client) -> None:
    with slow_link(wired_cell, "desk", "redis", 10_000, direction=THERE):
        began = monotonic()
        client.ask("SET", "long", "x" * 2000)
        assert monotonic() - began >= 0.15


def test_a_flapping_link_breaks_at_the_same_requests(wired_cell: WiredCell) -> None:
    seen = ""
    with flapping(wired_cell, "desk", "redis", up=3, down=1, cycles=2):
        for _ in range(10):
            with Client(wired_cell) as client:
                try:
                    client.ask("PING")
                    seen += "+"
                except ConnectionError:
                    seen += "-"
    assert seen == "+++-+++-++"


Fault = Callable[[WiredCell], AbstractContextManager[NetworkFault]]


@pytest.mark.parametrize(
    "fault",
    [
        lambda cell: latency(cell, "desk", "redis", 0.01),
        lambda cell: loss(cell, "desk", "redis", 0.5, seed=1),
        lambda cell: partition(cell, "desk", "redis"),
        lambda cell: slow_link(cell, "desk", "redis", 1000),
        lambda cell: flapping(cell, "desk", "redis", up=1, down=1, cycles=1),
    ],
)
def test_a_required_fault_that_met_no_message_proved_nothing_and_leaves_no_rule(
    wired_cell: WiredCell, fault: Fault
) -> None:
    with pytest.raises(FaultNotObserved), fault(wired_cell):
        assert wired_cell.wire.health()["rules"] > 0
    assert wired_cell.wire.health()["rules"] == 0


def test_nothing_stays_in_force_when_the_test_fails(wired_cell: WiredCell, client: Client) -> None:
    with pytest.raises(ValueError, match="invalid literal"), latency(wired_cell, "desk", "redis", 0.01):
        int(client.ask("PING"))
    assert wired_cell.wire.health()["rules"] == 0
    assert not wired_cell.history.recording().unhealed()


def test_a_fault_may_heal_before_its_block_ends(wired_cell: WiredCell, client: Client) -> None:
    with latency(wired_cell, "desk", "redis", 0.01) as fault:
        client.ask("PING")
        fault.heal()
        assert wired_cell.wire.health()["rules"] == 0
