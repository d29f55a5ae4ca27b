"""Rules as plain data: built, checked, written and read again."""

from __future__ import annotations

import json

import pytest

from airproof.errors import FaultUnsupported, UsageError
from airproof.wire import Moment, captured, glob, http, kafka, on, opened, passing, postgres, redis, regex, smtp
from airproof.wire.actions import ACTIONS, possible
from airproof.wire.armed import Armed, Candidates, Captures
from airproof.wire.rules import Rule, rule_from
from airproof.wire.session import Exchange

HERE = on("auth-service", "postgres*")
RULES = [
    HERE.when(postgres.commit(containing="a@b.c")).nth(2).times(1).after("COMMIT").lose_reply(then="reset"),
    HERE.when(postgres.query(containing=[b"\x00\xff", captured("id")]))
    .sometimes(0.5, seed=7)
    .delay(0.1, spread_s=0.05),
    HERE.when(http.request(method="POST", path=glob("/users/*"))).skip(3).respond(status=503, body="no"),
    HERE.when(kafka.produce(topic="t", key=regex("^k"))).capture("k", field="key").duplicate(),
    HERE.when(redis.command("GET", key="a")).same("k", within="connection").hold().preventable(),
    HERE.when(smtp.rcpt(containing="x@y.z")).respond(code=550),
    HERE.when(opened()).refuse(),
    HERE.when(passing(sender="server")).corrupt(offset=3),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_comes_back_from_json_as_it_was(rule: Rule) -> None:
    assert rule_from(json.loads(json.dumps(rule.to_json()))) == rule


def test_a_beginning_can_be_continued_in_several_ways() -> None:
    commit = HERE.when(postgres.commit())
    first, second = commit.nth(1).hold(), commit.nth(2).hold()
    assert (first.skip, second.skip) == (0, 1)
    assert first.id != second.id


def test_what_is_fetched_is_searched_and_what_holds_nothing_is_not() -> None:
    assert kafka.fetch(containing="a").containing == kafka.produce(containing="a").containing
    with pytest.raises(UsageError, match="postgres: nothing is searched in startup; name a field"):
        postgres.connect(containing="a")


def test_content_as_long_as_what_is_sought_is_searched_and_so_it_is_beside_longer_ones() -> None:
    short, long = (Armed(HERE.when(postgres.query(containing=one)).hold(), Captures()) for one in ("a", "longer"))
    assert Candidates([short, long]).meant_by(Exchange(1, "query", content=b"a")) == [short]


def test_losing_a_reply_happens_after() -> None:
    assert HERE.when(postgres.commit()).lose_reply().moment is Moment.AFTER


def test_what_the_table_does_not_hold_is_unsupported_and_the_message_names_what_is_possible() -> None:
    with pytest.raises(FaultUnsupported, match=r"possible there: .*lose_reply.*'lose_request' is possible before"):
        HERE.when(postgres.commit()).after().lose_request()
    with pytest.raises(FaultUnsupported, match=r"possible there: .*truncate"):
        HERE.when(passing()).respond(status=500)
    with pytest.raises(FaultUnsupported, match="possible there: delay, hold, observe, refuse, silence"):
        HERE.when(opened()).duplicate()


def test_every_action_is_possible_somewhere() -> None:
    places = [("http", "request"), ("", "connect"), ("", "bytes")]
    found = {one for place in places for moment in Moment for one in possible(*place, moment)}
    assert found == ACTIONS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": 0}, "times"),
        ({"probability": 2}, "between 0 and 1"),
        ({"colour": "red"}, "has no 'colour'"),
        ({"moment": "later"}, "not a rule"),
        ({"captures": [{"name": "a", "field": "", "pattern": "("}]}, "no regular expression"),
    ],
)
def test_a_wrong_rule_is_refused_with_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rule_from({**RULES[0].to_json(), **change})


def test_an_outcome_is_known_only_after_the_reply() -> None:
    with pytest.raises(UsageError, match=r"\.after\(\)"):
        HERE.when(postgres.commit()).after("COMMIT").before().hold()
