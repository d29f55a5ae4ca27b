"""Keys of Redis here; rows of PostgreSQL and records of Kafka with the toy platform, in tests/providers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from airproof.environment.capabilities import ProcessState, ProcessStatus
from airproof.environment.topology import CellKind
from airproof.errors import FaultNotObserved, FaultUnsupported, UsageError
from airproof.faults.data.damage import Flip, Truncate
from airproof.faults.data.keys import damaged_key, removed_key
from airproof.faults.data.rows import damaged_row
from airproof.faults.data.segments import damaged_log
from airproof.faults.redis_connection import RedisConnection

from .conftest import WiredCell
from .processes import Nodes
from .test_process import FakeCell


@pytest.fixture
def redis(wired_cell: WiredCell) -> Iterator[RedisConnection]:
    with RedisConnection(wired_cell.description.node("redis").endpoint) as connection:
        connection.ask("FLUSHALL")
        connection.ask("SET", "cached", '{"name": "z9"}', "PX", 60_000)
        yield connection


def test_a_flip_changes_one_letter_or_digit_and_nothing_of_the_structure() -> None:
    changed = list(Flip(seed=1).candidates('{"Z": 9}'))
    assert sorted(changed) == ['{"A": 9}', '{"Z": 0}']
    assert list(Flip(seed=1).candidates("abcdef")) == list(Flip(seed=1).candidates("abcdef"))
    assert list(Flip().candidates("{}")) == []


def test_a_truncation_keeps_the_beginning() -> None:
    assert list(Truncate(2).candidates("abc")) == ["ab"]
    assert list(Truncate(3).candidates("abc")) == []
    with pytest.raises(UsageError):
        list(Truncate(-1).candidates("abc"))


def test_a_removed_key_comes_back_with_its_time_to_live(wired_cell: WiredCell, redis: RedisConnection) -> None:
    with removed_key(wired_cell, "cached"):
        assert redis.ask("GET", "cached") is None
    assert redis.ask("GET", "cached") == b'{"name": "z9"}'
    left = redis.ask("PTTL", "cached")
    assert isinstance(left, int)
    assert 0 < left <= 60_000


@pytest.mark.parametrize("damage", [Flip(seed=2), Truncate(5)])
def test_a_damaged_key_is_whole_again_afterwards(
    wired_cell: WiredCell, redis: RedisConnection, damage: Flip | Truncate
) -> None:
    with damaged_key(wired_cell, "cached", damage) as now:
        assert redis.ask("GET", "cached") == now != b'{"name": "z9"}'
    assert redis.ask("GET", "cached") == b'{"name": "z9"}'


def test_what_the_platform_wrote_meanwhile_stays(wired_cell: WiredCell, redis: RedisConnection) -> None:
    with removed_key(wired_cell, "cached"):
        redis.ask("SET", "cached", "new")
    with damaged_key(wired_cell, "cached", Truncate(1)):
        redis.ask("SET", "cached", "newer")
    assert redis.ask("GET", "cached") == b"newer"
    assert all("meanwhile" in fault.healed for fault in wired_cell.history.recording().faults)


def test_what_is_not_there_cannot_be_damaged(wired_cell: WiredCell, redis: RedisConnection) -> None:
    with pytest.raises(FaultNotObserved, match="no key 'none'"), removed_key(wired_cell, "none"):
        pass
    redis.ask("RPUSH", "list", "a")
    with pytest.raises(FaultUnsupported, match="is a list"), damaged_key(wired_cell, "list", Flip()):
        pass


@dataclass
class Storage:
    path: Path

    def directory(self, node: str) -> Path:
        return self.path


@pytest.fixture
def broker(tmp_path: Path) -> FakeCell:
    segment = tmp_path / "logs" / "c1.things-0" / "0.log"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"h" * 61 + b"records")
    cell = FakeCell(Nodes(), storage=Storage(tmp_path))
    cell.description = replace(cell.description, kind=CellKind.PRIVATE_BROKER)
    return cell


def test_a_flipped_record_is_put_right_while_the_broker_is_down(broker: FakeCell) -> None:
    with damaged_log(broker, "c1.things", Flip(seed=1)) as segment:
        assert segment.read_bytes().startswith(b"h" * 61)
        assert segment.read_bytes() != b"h" * 61 + b"records"
        with segment.open("ab") as file:
            file.write(b"later")
    assert segment.read_bytes() == b"h" * 61 + b"recordslater"
    assert isinstance(broker.processes, Nodes)
    assert broker.processes.done == ["terminate kafka", "start kafka"] * 2


class Writing(Nodes):
    """A broker that writes until it has ended."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def terminate(self, node: str, *, timeout_s: float = 10.0) -> ProcessState:
        with self._log.open("ab") as file:
            file.write(b", and what came as it ended")
        return super().terminate(node, timeout_s=timeout_s)


@pytest.mark.parametrize("damage", [Flip(seed=1), Truncate(200)])
def test_what_the_broker_writes_until_it_has_ended_is_not_cut_off(broker: FakeCell, damage: Flip | Truncate) -> None:
    assert isinstance(broker.storage, Storage)
    log = broker.storage.path / "logs" / "c1.things-0" / "0.log"
    log.write_bytes(b"h" * 61 + b"r" * 135)
    broker.processes = Writing(log)
    with damaged_log(broker, "c1.things", damage) as segment:
        assert segment.stat().st_size == (200 if isinstance(damage, Truncate) else 61 + 135 + 27)
    if isinstance(damage, Flip):
        assert segment.read_bytes() == b"h" * 61 + b"r" * 135 + b", and what came as it ended" * 2


def test_a_log_that_cannot_be_damaged_leaves_its_broker_running(broker: FakeCell) -> None:
    with pytest.raises(FaultNotObserved), damaged_log(broker, "c1.things", Truncate(1000)):
        pass
    assert broker.processes
    assert broker.processes.state("kafka").status is ProcessStatus.RUNNING


def test_a_row_is_not_named_by_the_column_that_is_damaged(broker: FakeCell) -> None:
    damaged = damaged_row(broker, "shop", "orders", {"status": "paid"}, column="status", damage=Flip())
    with pytest.raises(UsageError, match="would not be found"), damaged:
        pass


def test_what_a_truncated_log_has_lost_stays_lost(broker: FakeCell) -> None:
    with damaged_log(broker, "c1.things", Truncate(10)) as segment:
        assert segment.stat().st_size == 10
    (recorded,) = broker.history.recording().faults
    assert "stays lost" in recorded.healed


def test_the_log_of_a_shared_broker_and_of_an_empty_topic_is_left_alone(broker: FakeCell) -> None:
    with pytest.raises(FaultNotObserved), damaged_log(broker, "c1.none", Flip()):
        pass
    broker.description = replace(broker.description, kind=CellKind.PLAIN)
    with pytest.raises(FaultUnsupported, match="private_broker"), damaged_log(broker, "c1.things", Flip()):
        pass
