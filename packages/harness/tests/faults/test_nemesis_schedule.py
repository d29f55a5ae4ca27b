from __future__ import annotations

import json
from pathlib import Path

import pytest

from airproof.environment.topology import CLIENT, Endpoint, Link
from airproof.errors import UsageError
from airproof.faults.nemesis import Anchor, Disturbance, Schedule, schedule
from airproof.faults.nemesis.kinds import KINDS, OF_PROCESSES
from airproof.wire.rules import Moment

AT = Endpoint("127.0.0.1", 1)
LINKS = (
    Link("desk", "postgres-primary", "postgres", AT),
    Link("desk", "kafka", "kafka", AT),
    Link("till", "kafka", "kafka", AT),
    Link("till", "redis", "redis", AT),
    Link("desk", "till", "http", AT),
    Link(CLIENT, "desk", "http", AT),
)
RELAY = Anchor("desk", "kafka", "kafka", "Produce", 3, Moment.AFTER)
COMMIT = Anchor("till", "postgres-primary", "postgres", "commit", 5, containing="a@b.c")
KILL = Disturbance("killed", ("desk",), start=RELAY, end=COMMIT)
PART = Disturbance("partition", ("desk",), ("till", "kafka"), {"one_way": True})


def test_a_schedule_is_printed_in_one_line() -> None:
    assert str(Schedule((KILL, PART))) == (
        "killed desk at 3rd Produce desk>kafka answered until 5th commit till>postgres-primary with 'a@b.c'; "
        "partition desk|till+kafka (one_way=True)"
    )


def test_a_schedule_goes_through_a_file(tmp_path: Path) -> None:
    written = Schedule((KILL, PART), seed=7)
    path = tmp_path / "new" / "schedule.json"
    written.write(path, test="test_a.py::test_b", run_seed=3)
    assert Schedule.read(path) == written
    assert json.loads(path.read_text())["test"] == "test_a.py::test_b"


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"disturbances": [{"kind": "killed"}]}', '{"disturbances": [{"nodes": 1}]}']
)
def test_another_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"other\.json' holds no schedule"):
        Schedule.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the schedule"):
        Schedule.read(tmp_path / "none.json")


def test_an_anchor_holds_the_message_that_it_names() -> None:
    rule = RELAY.rule()
    assert (rule.source, rule.target, rule.match.events, rule.skip, rule.times) == ("desk", "kafka", ("Produce",), 2, 1)
    assert (rule.action.kind, rule.moment, rule.required) == ("hold", Moment.AFTER, False)


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(11, LINKS, 6) == schedule(11, LINKS, 6)
    assert schedule(11, LINKS, 6) != schedule(12, LINKS, 6)


def test_a_seed_gives_what_it_has_always_given() -> None:
    assert str(schedule(1, LINKS, 2)) == (
        "suspended desk at 2nd request desk>till answered until 4th message till>redis answered; "
        "stopped till at 5th message till>redis until 4th OffsetCommit desk>kafka"
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_fault_does_not_stand_in_the_way_of_its_own_end(seed: int) -> None:
    for one in schedule(seed, LINKS, 10).disturbances:
        assert one.start
        assert one.end
        ends = {one.end.source, one.end.target}
        if one.kind in OF_PROCESSES:
            assert not ends & set(one.nodes)
            assert one.nodes[0] in {"desk", "till"}
        else:
            assert ends != {*one.nodes, *one.others}


def test_only_what_was_asked_for_is_chosen() -> None:
    assert {one.kind for one in schedule(1, LINKS, 20, kinds=["killed", "latency"]).disturbances} == {
        "killed",
        "latency",
    }
    assert {one.kind for one in schedule(1, LINKS, 200).disturbances} == set(KINDS)


@pytest.mark.parametrize(
    ("links", "kinds", "why"), [((), KINDS, "wired cell"), (LINKS, ("kiled",), "no fault 'kiled'")]
)
def test_what_cannot_be_made_is_refused(links: tuple[Link, ...], kinds: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        schedule(1, links, 1, kinds=kinds)
