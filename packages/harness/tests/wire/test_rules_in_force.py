"""Rules on a living link, seen from the client and from the server."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from airproof.errors import FaultNotObserved
from airproof.waiting import wait_until
from airproof.wire import Wire, captured, established, matching, on
from airproof.wire.building import Place

Connect = Callable[[], Any]
HERE: Place = on("client", "server")


def line(*events: str, **conditions: Any) -> Any:
    return HERE.when(matching("lines", *events, **conditions))


def test_without_rules_everything_passes(connect: Connect, server: Any) -> None:
    client = connect()
    assert [client.ask("a"), client.ask("b c")] == ["OK a", "OK b c"]
    assert server.lines == ["a", "b c"]


def test_a_lost_request_never_arrives_and_the_connection_is_reset(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    client.ask("a")
    with wire.apply(line("PUT", containing="42").lose_request()) as rule:
        with pytest.raises(ConnectionResetError):
            client.ask("PUT 42")
        assert rule.fired == 1
    assert server.lines == ["a"]


def test_a_lost_reply_was_served(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").lose_reply()), pytest.raises(ConnectionResetError):
        client.ask("PUT 42")
    assert server.lines == ["PUT 42"]


def test_a_lost_reply_can_end_in_silence_until_the_rule_is_removed(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").lose_reply(then="silent")) as rule:
        client.send("PUT 42")
        rule.wait_until_fired(5)
        assert client.has_nothing_to_read()
    with pytest.raises(ConnectionResetError):
        client.read()
    assert server.lines == ["PUT 42"]


def test_only_the_nth_match_is_meant(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("GET").nth(2).respond(line="BUSY")):
        assert [client.ask("GET 1"), client.ask("GET 2"), client.ask("GET 3")] == ["OK GET 1", "BUSY", "OK GET 3"]


def test_the_nth_in_each_connection(wire: Wire, connect: Connect) -> None:
    one, other = connect(), connect()
    with wire.apply(line("GET").nth(2, within="connection").respond(line="BUSY")) as rule:
        assert [one.ask("GET 1"), other.ask("GET 1")] == ["OK GET 1", "OK GET 1"]
        assert [one.ask("GET 2"), other.ask("GET 2")] == ["BUSY", "BUSY"]
        assert rule.fired == 2


def test_answers_of_the_wire_keep_their_place_among_pipelined_requests(
    wire: Wire, connect: Connect, server: Any
) -> None:
    client = connect()
    with wire.apply(line("B").respond(line="BUSY")):
        client.send("a", "B", "B", "c")
        assert [client.read() for _ in range(4)] == ["OK a", "BUSY", "BUSY", "OK c"]
    assert server.lines == ["a", "c"]


def test_a_reply_is_replaced_after_the_work_was_done(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").after("OK").respond(line="ERROR")):
        assert client.ask("PUT 1") == "ERROR"
        assert client.ask("GET 1") == "OK GET 1"
    assert server.lines == ["PUT 1", "GET 1"]


def test_a_hold_keeps_one_connection_and_no_other(wire: Wire, connect: Connect, server: Any) -> None:
    late, other = connect(), connect()
    with wire.apply(line("COMMIT").nth(1).hold()) as hold:
        late.send("COMMIT", "x")
        hold.wait_until_held(5)
        assert other.ask("COMMIT 2") == "OK COMMIT 2"
        assert server.lines == ["COMMIT 2"]
        assert hold.release() == 1
        assert [late.read(), late.read()] == ["OK COMMIT", "OK x"]
    assert hold.left_held == 0
    assert server.lines == ["COMMIT 2", "COMMIT", "x"]


def test_a_hold_that_nobody_releases_is_released_at_the_end_and_reported(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("COMMIT").hold()) as hold:
        client.send("COMMIT")
        hold.wait_until_held(5)
    assert hold.left_held == 1
    assert client.read() == "OK COMMIT"


def test_a_duplicate_is_served_twice_and_answered_once(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").nth(1).duplicate()):
        client.send("PUT 1", "GET 1")
        assert [client.read(), client.read()] == ["OK PUT 1", "OK GET 1"]
    assert server.lines == ["PUT 1", "PUT 1", "GET 1"]
    assert client.ask("GET 2") == "OK GET 2"


def test_what_one_rule_captures_another_one_finds(wire: Wire, connect: Connect, server: Any) -> None:
    one, other = connect(), connect()
    capture = line("INSERT").capture("order", pattern=r"id=(\w+)").observe()
    lose = line("PUBLISH", containing=captured("order")).respond(line="LOST")
    with wire.apply(capture), wire.apply(lose):
        assert other.ask("PUBLISH o7") == "OK PUBLISH o7"
        one.ask("INSERT id=o7")
        assert other.ask("PUBLISH o8") == "OK PUBLISH o8"
        assert other.ask("PUBLISH o7") == "LOST"


def test_only_the_transaction_in_which_it_was_captured(wire: Wire, connect: Connect) -> None:
    one, other = connect(), connect()
    capture = line("INSERT", containing="o7").capture("mine", field="last").observe()
    commit = line("COMMIT").same("mine").respond(line="LOST")
    with wire.apply(capture), wire.apply(commit):
        for client, value in ((one, "o7"), (other, "o8")):
            client.ask("BEGIN")
            client.ask(f"INSERT {value}")
        assert other.ask("COMMIT") == "OK COMMIT"
        assert one.ask("COMMIT") == "LOST"
        one.ask("BEGIN")
        assert one.ask("COMMIT") == "OK COMMIT"


def test_a_required_rule_that_never_acted_is_reported(wire: Wire, connect: Connect) -> None:
    with pytest.raises(FaultNotObserved, match="never acted"), wire.apply(line("PUT").reset()):
        connect().ask("GET")


def test_a_preventable_rule_need_not_act(wire: Wire, connect: Connect) -> None:
    with wire.apply(line("PUT").reset().preventable()):
        connect().ask("GET")


def test_evidence_says_what_was_done_to_what(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("PUT").respond(line="BUSY")) as rule:
        client.ask("PUT password=geheim123 42")
        (evidence,) = rule.evidence()
    assert (evidence["event"], evidence["action"], evidence["link"]) == ("PUT", "respond", "link")
    assert evidence["fields"]["last"] == "42"
    assert "geheim123" not in str(evidence)


def test_two_rules_on_one_message_both_act(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("PUT").delay(0.05)) as delay, wire.apply(line("PUT").respond(line="BUSY")) as answer:
        assert client.ask("PUT 1") == "BUSY"
        assert (delay.fired, answer.fired) == (1, 1)


@pytest.mark.parametrize("first", ["field", "content"])
def test_of_two_rules_the_one_set_first_acts_first_however_it_finds_its_message(
    wire: Wire, connect: Connect, first: str
) -> None:
    client = connect()
    rules = {
        "field": line("PUT", last="1").respond(line="field"),
        "content": line("PUT", containing="1").respond(line="content"),
    }
    second = next(name for name in rules if name != first)
    with wire.apply(rules[first].preventable()), wire.apply(rules[second].preventable()):
        assert client.ask("PUT 1") == first


def test_two_delays_of_one_message_add_up(wire: Wire, connect: Connect) -> None:
    client = connect()
    client.ask("GET 1")
    with wire.apply(line("PUT").delay(0.2)), wire.apply(line("PUT").delay(0.2)):
        began = monotonic()
        assert client.ask("PUT 42") == "OK PUT 42"
        assert monotonic() - began >= 0.4


def test_a_throttle_acts_behind_rules_that_were_set_later(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").throttle(100_000)), wire.apply(line("PUT").duplicate()):
        assert client.ask("PUT 1") == "OK PUT 1"
        assert client.ask("GET 2") == "OK GET 2"
    assert server.lines == ["PUT 1", "PUT 1", "GET 2"]


def test_what_is_lost_is_not_throttled(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").throttle(100_000).preventable()) as throttle:
        with wire.apply(line("PUT").lose_request()), pytest.raises(ConnectionResetError):
            client.ask("PUT 1")
        assert throttle.fired == 0
    assert server.lines == []


def test_a_throttled_reply_can_be_lost(wire: Wire, connect: Connect) -> None:
    client = connect()
    throttle = line("PUT").after().throttle(100_000).preventable()
    with wire.apply(throttle), wire.apply(line("PUT").lose_reply()) as lost:
        with pytest.raises(ConnectionResetError):
            client.ask("PUT 1")
        assert [one["size"] for one in lost.evidence()] == [len("OK PUT 1\n")]


def test_of_two_throttles_the_first_acts(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("PUT").throttle(100_000)), wire.apply(line("PUT").throttle(1).preventable()) as second:
        assert client.ask("PUT 1") == "OK PUT 1"
        assert second.fired == 0


def test_a_truncated_reply_ends_in_a_reset(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("GET").after().truncate(4)):
        client.send("GET 1")
        with pytest.raises(ConnectionResetError):
            client.read()


def test_the_same_seed_corrupts_the_same_byte(wire: Wire, connect: Connect, server: Any) -> None:
    for _ in range(2):
        with wire.apply(line("PUT").sometimes(1.0, seed=3).corrupt(find=b"42", replacement=b"24")):
            assert connect().ask("PUT 42") == "OK PUT 24"


def test_reordered_requests_arrive_the_other_way_round(wire: Wire, connect: Connect, server: Any) -> None:
    one, other = connect(), connect()
    with wire.apply(line("PUT").reorder(timeout_s=5)) as rule:
        one.send("PUT 1")
        assert wire.status(rule.rule.id, until="fired", wait_s=5)["fired"] == 1
        assert other.ask("PUT 2") == "OK PUT 2"
        assert one.read() == "OK PUT 1"
    assert server.lines == ["PUT 2", "PUT 1"]


def test_a_reply_that_has_overtaken_another_can_still_be_lost(wire: Wire, connect: Connect) -> None:
    one, other = connect(), connect()
    with wire.apply(line("PUT").after().reorder(timeout_s=0.5)) as reordered:
        one.send("PUT 1")
        reordered.wait_until_fired(5)
        with wire.apply(line("PUT").lose_reply()) as lost:
            with pytest.raises(ConnectionResetError):
                other.ask("PUT 2")
            assert [one["size"] for one in lost.evidence()] == [len("OK PUT 2\n")]
        assert one.read() == "OK PUT 1"


def test_an_act_that_failed_leaves_its_turn_to_the_next_match(wire: Wire, connect: Connect, server: Any) -> None:
    one, other = connect(), connect()
    with wire.apply(line("PUT").times(2).reorder(timeout_s=1)) as rule:
        assert one.ask("PUT 1") == "OK PUT 1"
        one.send("PUT 2")
        rule.wait_until_fired(5)
        assert other.ask("PUT 3") == "OK PUT 3"
        assert one.read() == "OK PUT 2"
    assert server.lines == ["PUT 1", "PUT 3", "PUT 2"]


def test_a_rule_whose_last_act_failed_is_in_force_again(wire: Wire, connect: Connect) -> None:
    client = connect()
    with wire.apply(line("PUT").times(1).reorder(timeout_s=0.1).preventable()) as rule:
        for number in (1, 2):
            assert client.ask(f"PUT {number}") == f"OK PUT {number}"
            assert wire.status(rule.rule.id)["failed"] == number
        assert rule.fired == 0


def test_nobody_overtakes_a_message_whose_connection_has_ended(wire: Wire, connect: Connect) -> None:
    with wire.apply(line("PUT").reorder(timeout_s=0.5).preventable()) as rule:
        connect().send("PUT 1")
        rule.wait_until_fired(5)
        with wire.apply(HERE.when(established()).reset()):
            pass
        assert connect().ask("PUT 2") == "OK PUT 2"
        assert [one["failure"] for one in rule.evidence()] == [
            "its connection ended while it waited",
            "no other match came within 0.5 s",
        ]
        assert rule.fired == 0


def test_a_cut_lets_the_connection_stand(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").cut("server->client")) as rule:
        client.send("PUT 1", "GET 2")
        rule.wait_until_fired(5)
        assert client.has_nothing_to_read()
    assert server.lines == ["PUT 1", "GET 2"]


def test_the_first_thing_that_a_cut_takes_is_its_evidence_whatever_other_rules_there_are(
    wire: Wire, connect: Connect
) -> None:
    client = connect()
    client.ask("GET 1")
    with wire.apply(line("PUT").reset().preventable()), wire.apply(HERE.when(established()).cut()) as cut:
        client.send("GET 2")
        wait_until(lambda: len(cut.evidence()) > 1, timeout_s=5, describe="the evidence")
        assert [one["event"] for one in cut.evidence()] == ["established", "GET"]


def test_what_passes_rules_is_recorded_too(wire: Wire, connect: Connect) -> None:
    client = connect()
    wire.record()
    with wire.apply(line("PUT").respond(line="BUSY").preventable()):
        client.ask("GET 1")
        client.ask("PUT 2")
    passed = [(one["event"], one["outcome"]) for one in wire.events() if one["kind"] == "exchange"]
    assert passed == [("GET", "OK"), ("PUT", "BUSY")]


def test_a_half_close_ends_one_direction(wire: Wire, connect: Connect, server: Any) -> None:
    client = connect()
    with wire.apply(line("PUT").half_close()):
        assert client.ask("PUT 1") == "OK PUT 1"
        assert client.read() == ""
    assert server.ends >= 1
