"""A Kafka connection on bytes alone: what passes, what is written anew, and what never gets through."""

from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airproof.wire.protocols import session_factory
from airproof.wire.protocols.kafka import KafkaSession
from airproof.wire.protocols.kafka.apis import api_named, apis
from airproof.wire.protocols.kafka.contents import first_error
from airproof.wire.protocols.kafka.topics import TopicNames
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender, Session

from .batches import Record, write_batch

BROKER = ("kafka.internal", 9092)
WIRE = ("127.0.0.1", 40_001)
TOPIC_ID = bytes(range(16))
LATEST = {"Produce": 13, "Fetch": 15, "Metadata": 13, "FindCoordinator": 6, "ApiVersions": 4}


def make_session(*, watched: bool = True, names: TopicNames | None = None) -> KafkaSession:
    session = KafkaSession(
        route=lambda host, port: WIRE if (host, port) == BROKER else None, names=names or TopicNames()
    )
    session.watched = watched
    return session


def framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def request(name: str, version: int, correlation: int, body: dict[str, Any]) -> bytes:
    api = api_named(name)
    header = struct.pack(">hhih", api.key, version, correlation, 6) + b"tester" + b"\0" * api.flexible(version)
    return framed(header + api.request(version).encode(body))


def reply(name: str, version: int, correlation: int, body: dict[str, Any]) -> bytes:
    api = api_named(name)
    header = struct.pack(">i", correlation) + b"\0" * api.reply_is_tagged(version)
    return framed(header + api.response(version).encode(body))


def read_reply(name: str, version: int, data: bytes) -> dict[str, Any]:
    api = api_named(name)
    return api.response(version).decode(data, 8 + api.reply_is_tagged(version))


def records(*values: bytes) -> bytes:
    return write_batch(*(Record(at, 0, b"key", value) for at, value in enumerate(values)))


def produce(correlation: int, *values: bytes, version: int = 9, acks: int = -1) -> bytes:
    data = {"Index": 1, "Records": records(*values)}
    topic = {"Name": "orders", "TopicId": TOPIC_ID, "PartitionData": [data]}
    return request("Produce", version, correlation, {"Acks": acks, "TimeoutMs": 1, "TopicData": [topic]})


def produced(correlation: int, version: int = 9, **body: Any) -> bytes:
    topic = {"Name": "orders", "TopicId": TOPIC_ID, "PartitionResponses": [{"Index": 1}]}
    return reply("Produce", version, correlation, {"Responses": [topic], **body})


def fetch(correlation: int, version: int = 12) -> bytes:
    return request("Fetch", version, correlation, {"Topics": [{"Topic": "orders", "Partitions": [{"Partition": 1}]}]})


def fetched(correlation: int, *values: bytes, version: int = 12) -> bytes:
    partitions = [{"PartitionIndex": 0, "Records": b""}, {"PartitionIndex": 1, "Records": records(*values)}]
    return reply("Fetch", version, correlation, {"Responses": [{"Topic": "orders", "Partitions": partitions}]})


def metadata(correlation: int, host: str = BROKER[0], port: int = BROKER[1], version: int = 12) -> bytes:
    broker = {"NodeId": 1, "Host": host, "Port": port}
    topic = {"Name": "orders", "TopicId": TOPIC_ID}
    return reply("Metadata", version, correlation, {"Brokers": [broker], "Topics": [topic]})


def ask(session: Session, data: bytes) -> Exchange:
    exchange = session.receive(Sender.CLIENT, data)[0].exchange
    assert exchange is not None
    return exchange


def joined(segments: list[Segment]) -> bytes:
    return b"".join(segment.data for segment in segments)


CONVERSATION = [
    (Sender.CLIENT, request("ApiVersions", 4, 1, {"ClientSoftwareName": "test"})),
    (Sender.SERVER, reply("ApiVersions", 4, 1, {"ApiKeys": [{"ApiKey": 3, "MinVersion": 0, "MaxVersion": 13}]})),
    (Sender.CLIENT, request("Metadata", 12, 2, {"Topics": [{"Name": "orders"}]}) + produce(3, b"one", b"two")),
    (Sender.SERVER, metadata(2, *WIRE) + produced(3)),
    (Sender.CLIENT, produce(4, b"nobody answers", acks=0) + produce(5, b"a" * 500, version=13) + fetch(6)),
    (Sender.SERVER, produced(5, 13) + fetched(6, b"b" * 500)),
    (Sender.CLIENT, request("EndTxn", 3, 7, {"TransactionalId": "tx", "Committed": True})),
    (Sender.SERVER, reply("EndTxn", 3, 7, {"ErrorCode": 51})),
]


def follow(session: KafkaSession, pieces: list[tuple[Sender, bytes]]) -> tuple[bytes, bytes, list[dict[str, Any]]]:
    """What came out on both sides, and the exchanges as they were in the end."""
    out = (bytearray(), bytearray())
    exchanges: dict[int, Exchange] = {}
    for sender, piece in pieces:
        for segment in session.receive(sender, piece):
            out[sender].extend(segment.data)
            assert segment.exchange is not None
            exchanges[segment.exchange.number] = segment.exchange
    seen = [
        {"event": each.event, "fields": each.fields, "content": each.content, "outcome": each.outcome}
        for each in exchanges.values()
    ]
    return bytes(out[0]), bytes(out[1]), seen


def same_route(host: str, port: int) -> tuple[str, int]:
    return host, port


@given(st.data(), st.booleans())
def test_any_split_gives_the_same_exchanges_and_the_same_bytes(data: st.DataObject, watched: bool) -> None:
    pieces = []
    for sender, stream in CONVERSATION:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        ends = [0, *cuts, len(stream)]
        pieces += [(sender, stream[start:end]) for start, end in pairwise(ends)]
    sessions = [KafkaSession(route=same_route, names=TopicNames()) for _ in range(2)]
    for session in sessions:
        session.watched = watched
    whole, split = follow(sessions[0], CONVERSATION), follow(sessions[1], pieces)
    assert split == whole
    for sender in Sender:
        assert whole[sender] == b"".join(stream for side, stream in CONVERSATION if side is sender)
    assert [session.broken for session in sessions] == [None, None]


def test_exchanges_tell_what_they_are_about() -> None:
    session = KafkaSession(route=same_route, names=TopicNames())
    session.watched = True
    *_, exchanges = follow(session, CONVERSATION)
    assert [(each["event"], each["outcome"]) for each in exchanges] == [
        ("ApiVersions", "NONE"),
        ("Metadata", "NONE"),
        ("Produce", "NONE"),
        ("Produce", ""),
        ("Produce", "NONE"),
        ("Fetch", "NONE"),
        ("EndTxn", "CONCURRENT_TRANSACTIONS"),
    ]
    assert exchanges[2]["fields"] == {
        "api": "Produce",
        "version": 9,
        "client_id": "tester",
        "topic": "orders",
        "topics": "orders",
        "partition": 1,
        "partitions": "orders-1",
        "acks": -1,
        "records": 2,
        "key": "key",
        "keys": "key,key",
        "compression": "none",
    }
    assert b"one" in exchanges[2]["content"]
    assert exchanges[4]["fields"]["topic"] == "orders"
    assert exchanges[5]["fields"].items() >= {"partitions": "orders-1", "records": 1}.items()
    assert b"b" * 500 in exchanges[5]["content"]
    assert exchanges[6]["fields"].items() >= {"transactional_id": "tx", "committed": "commit"}.items()


@given(st.lists(st.tuples(st.sampled_from(list(Sender)), st.binary(max_size=80)), max_size=20), st.booleans())
def test_garbage_ends_the_connection_or_waits_for_more(pieces: list[tuple[Sender, bytes]], watched: bool) -> None:
    session = make_session(watched=watched)
    for sender, piece in pieces:
        session.receive(sender, piece)
    for sender in Sender:
        session.finish(sender)


@given(st.data(), st.booleans())
def test_a_conversation_with_wrong_bytes_never_fails(data: st.DataObject, watched: bool) -> None:
    session = KafkaSession(route=same_route, names=TopicNames())
    session.watched = watched
    for sender, stream in CONVERSATION:
        wrong = bytearray(stream)
        for at in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=3)):
            wrong[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        for segment in session.receive(sender, bytes(wrong)):
            assert segment.exchange is not None
            session.respond(segment.exchange, {"error": "UNKNOWN_SERVER_ERROR"})


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_never_lets_the_broker_s_address_through(at: int, value: int) -> None:
    answer = bytearray(metadata(1))
    answer[at % len(answer)] = value
    session = make_session(watched=False)
    session.receive(Sender.CLIENT, request("Metadata", 12, 1, {}))
    passed = joined(session.receive(Sender.SERVER, bytes(answer))) + joined(session.finish(Sender.SERVER))
    assert BROKER[0].encode() not in passed


ADDRESSED = [("Metadata", version) for version in range(14)]
ADDRESSED += [("FindCoordinator", version) for version in range(7)]
ADDRESSED += [("DescribeCluster", version) for version in range(3)]
ADDRESSED += [("Produce", version) for version in range(10, 14)]
ADDRESSED += [(name, version) for name in ("ShareFetch", "ShareAcknowledge") for version in (1, 2)]


def addressed(name: str, version: int, host: str, port: int) -> bytes:
    address = {"NodeId": 1, "BrokerId": 1, "Key": "group", "Host": host, "Port": port}
    places = {"Brokers": [address], "Coordinators": [address], "NodeEndpoints": [address], **address}
    return reply(name, version, 5, places)


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(("name", "version"), ADDRESSED)
def test_addresses_of_brokers_become_those_of_wires(name: str, version: int, watched: bool) -> None:
    session = make_session(watched=watched)
    session.receive(Sender.CLIENT, request(name, version, 5, {"Acks": -1}))
    passed = joined(session.receive(Sender.SERVER, addressed(name, version, *BROKER)))
    assert session.broken is None
    assert passed == addressed(name, version, *WIRE)


def test_a_broker_without_a_wire_breaks_the_session() -> None:
    session = make_session()
    session.receive(Sender.CLIENT, request("Metadata", 12, 1, {}))
    assert session.receive(Sender.SERVER, metadata(1, "other.internal")) == []
    assert session.broken == "a reply to Metadata names other.internal:9092, to which no wire leads"
    assert session.receive(Sender.SERVER, b"more") == []
    assert session.receive(Sender.CLIENT, produce(2)) == []
    assert session.finish(Sender.SERVER) == []


def test_no_coordinator_needs_no_wire() -> None:
    session = make_session()
    session.receive(Sender.CLIENT, request("FindCoordinator", 4, 1, {"CoordinatorKeys": ["group"]}))
    nobody = {"Key": "group", "NodeId": -1, "Host": "", "Port": -1, "ErrorCode": 15}
    (segment,) = session.receive(Sender.SERVER, reply("FindCoordinator", 4, 1, {"Coordinators": [nobody]}))
    assert segment.exchange is not None
    assert segment.exchange.outcome == "COORDINATOR_NOT_AVAILABLE"


@pytest.mark.parametrize("version", range(6))
def test_a_broker_offers_no_more_than_is_followed(version: int) -> None:
    def offer(key: int, oldest: int, newest: int) -> dict[str, int]:
        return {"ApiKey": key, "MinVersion": oldest, "MaxVersion": newest}

    session = make_session(watched=False)
    session.receive(Sender.CLIENT, request("ApiVersions", version, 1, {}))
    offers = [offer(0, 0, 99), offer(1, 4, 18), offer(17, 0, 1), offer(3, 1, 2), offer(999, 0, 1), offer(55, 2, 3)]
    features = {"FinalizedFeatures": [{"Name": "transaction.version", "MaxVersionLevel": 2, "MinVersionLevel": 2}]}
    passed = joined(session.receive(Sender.SERVER, reply("ApiVersions", version, 1, {"ApiKeys": offers, **features})))
    kept = [offer(0, 0, 13), offer(1, 4, 15), offer(17, 1, 1), offer(3, 1, 2)]
    assert passed == reply("ApiVersions", version, 1, {"ApiKeys": kept, **features})


def test_an_older_broker_may_say_that_it_is_older() -> None:
    session = make_session(watched=False)
    session.receive(Sender.CLIENT, request("ApiVersions", 5, 1, {}))
    refusal = reply("ApiVersions", 0, 1, {"ErrorCode": 35, "ApiKeys": [{"ApiKey": 18, "MaxVersion": 3}]})
    assert joined(session.receive(Sender.SERVER, refusal)) == refusal


REFUSED = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", "the client speaks TLS: give the wire"),
    (b"GET / HTTP/1.1\r\n\r\n", "this is not Kafka's protocol"),
    (framed(struct.pack(">hhih", 999, 0, 1, -1)), "API 999 is none"),
    (framed(struct.pack(">hhih", 1, 16, 1, -1)), "Fetch 16 is not followed, only 4 to 15"),
    (framed(struct.pack(">hhih", 17, 0, 1, -1)), "SaslHandshake 0 is not followed"),
    (framed(struct.pack(">hhih", 0, 9, 1, -1)), "does not begin as one"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_cannot_be_followed_is_refused(data: bytes, reason: str) -> None:
    session = make_session(watched=False)
    assert session.receive(Sender.CLIENT, data) == []
    assert reason in str(session.broken)


@pytest.mark.parametrize(
    "answer", [b"\0\0\0\x08\0\0\0\x63abcd", b"\0\0\0\x03abcdef", b"\0\0\0\x06\0\0\0\1ab", b"\x7f\xff\xff\xff\0\0\0\1"]
)
def test_a_reply_that_makes_no_sense_breaks_the_session(answer: bytes) -> None:
    session = make_session(watched=False)
    session.receive(Sender.CLIENT, request("Metadata", 12, 1, {}))
    assert session.receive(Sender.SERVER, answer) == []
    assert session.broken


def test_unwatched_records_pass_in_the_pieces_in_which_they_come() -> None:
    session = make_session(watched=False)
    sent = produce(1, b"x" * 10_000)
    first, second, third = (session.receive(Sender.CLIENT, sent[at : at + 4096]) for at in (0, 4096, 8192))
    assert [len(segment.data) for segment in first + second + third] == [4096, 4096, len(sent) - 8192]
    assert [segment.last for segment in first + second + third] == [False, False, True]
    session.receive(Sender.CLIENT, fetch(2))
    session.receive(Sender.SERVER, produced(1))
    answer = fetched(2, b"y" * 5000)
    assert joined(session.receive(Sender.SERVER, answer[:100])) == answer[:100]
    (rest,) = session.receive(Sender.SERVER, answer[100:])
    assert rest.exchange is not None
    assert (rest.last, rest.exchange.outcome) == (True, "UNREAD")


def test_of_a_request_that_is_too_long_the_beginning_can_be_matched() -> None:
    session = make_session()
    sent = produce(1, b"needle" + b"x" * REQUEST_LIMIT_BYTES)
    assert session.receive(Sender.CLIENT, sent[: REQUEST_LIMIT_BYTES - 1]) == []
    (segment,) = session.receive(Sender.CLIENT, sent[REQUEST_LIMIT_BYTES - 1 : REQUEST_LIMIT_BYTES])
    assert segment.exchange is not None
    assert b"needle" in segment.exchange.content
    assert (segment.exchange.fields, segment.last) == ({"api": "Produce", "version": 9, "client_id": "tester"}, False)
    assert session.receive(Sender.CLIENT, sent[REQUEST_LIMIT_BYTES:])[-1].last


def test_a_lost_request_does_not_shift_the_replies_of_others() -> None:
    session = make_session()
    lost, kept = ask(session, produce(1, b"lost")), ask(session, produce(2, b"kept"))
    session.receive(Sender.SERVER, produced(2))
    assert (lost.outcome, kept.outcome) == (None, "NONE")


ANSWERED: list[tuple[str, int, dict[str, Any]]] = []
_BODIES: dict[str, tuple[range, dict[str, Any]]] = {
    "Produce": (
        range(3, 14),
        {"Acks": 1, "TopicData": [{"Name": "t", "TopicId": TOPIC_ID, "PartitionData": [{"Index": 4}]}]},
    ),
    "Fetch": (range(4, 16), {"Topics": [{"Topic": "t", "TopicId": TOPIC_ID, "Partitions": [{"Partition": 4}]}]}),
    "ListOffsets": (range(1, 12), {"Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 4}]}]}),
    "Metadata": (range(14), {"Topics": [{"Name": "t", "TopicId": TOPIC_ID}]}),
    "OffsetCommit": (range(2, 11), {"Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 4}]}]}),
    "TxnOffsetCommit": (range(6), {"Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 4}]}]}),
    "OffsetFetch": (
        range(1, 11),
        {
            "Topics": [{"Name": "t", "PartitionIndexes": [4]}],
            "Groups": [{"GroupId": "g", "Topics": [{"Name": "t", "PartitionIndexes": [4]}]}],
        },
    ),
    "FindCoordinator": (range(7), {"Key": "g", "CoordinatorKeys": ["g"]}),
    "AddPartitionsToTxn": (
        range(6),
        {"V3AndBelowTopics": [{"Name": "t", "Partitions": [4]}], "Transactions": [{"TransactionalId": "tx"}]},
    ),
    "CreateTopics": (range(2, 8), {"Topics": [{"Name": "t"}]}),
    "DeleteTopics": (range(1, 7), {"TopicNames": ["t"], "Topics": [{"Name": "t"}]}),
    "JoinGroup": (range(10), {}),
    "SyncGroup": (range(6), {}),
    "Heartbeat": (range(5), {}),
    "LeaveGroup": (range(6), {}),
    "ConsumerGroupHeartbeat": (range(2), {}),
    "InitProducerId": (range(7), {}),
    "AddOffsetsToTxn": (range(5), {}),
    "EndTxn": (range(6), {}),
}
ANSWERED = [(name, version, body) for name, (span, body) in _BODIES.items() for version in span]


@pytest.mark.parametrize(("name", "version", "body"), ANSWERED)
def test_an_error_is_answered_in_the_request_s_own_version(name: str, version: int, body: dict[str, Any]) -> None:
    session = make_session()
    exchange = ask(session, request(name, version, 9, body))
    answer = session.respond(exchange, {"error": "NOT_COORDINATOR"})
    assert answer is not None
    assert struct.unpack_from(">ii", answer) == (len(answer) - 4, 9)
    assert first_error(read_reply(name, version, answer)) == "NOT_COORDINATOR" == exchange.outcome
    follower = ask(session, produce(10, b"next"))
    session.receive(Sender.SERVER, produced(10))
    assert follower.outcome == "NONE"


def test_an_answer_names_the_request_s_partitions() -> None:
    session = make_session()
    answer = session.respond(ask(session, produce(1, b"one", version=13)), {"error": 6})
    assert answer is not None
    (topic,) = read_reply("Produce", 13, answer)["Responses"]
    (partition,) = topic["PartitionResponses"]
    assert (topic["TopicId"], partition["Index"], partition["ErrorCode"], partition["BaseOffset"]) == (
        TOPIC_ID,
        1,
        6,
        -1,
    )


def test_a_fetch_session_s_error_is_that_of_the_whole_reply() -> None:
    session = make_session()
    answer = session.respond(ask(session, fetch(1)), {"error": "INVALID_FETCH_SESSION_EPOCH"})
    assert answer is not None
    assert read_reply("Fetch", 12, answer) == read_reply("Fetch", 12, reply("Fetch", 12, 1, {"ErrorCode": 71}))


def test_an_answer_can_be_given_instead_of_the_broker_s() -> None:
    session = make_session()
    exchange = ask(session, produce(1, b"one"))
    session.receive(Sender.SERVER, produced(1))
    answer = session.respond(exchange, {"error": "REQUEST_TIMED_OUT"})
    assert answer is not None
    assert exchange.outcome == "NONE"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (produce(1, b"one"), "NO_SUCH_ERROR"),
        (produce(1, b"one", acks=0), "NOT_LEADER_OR_FOLLOWER"),
        (request("ApiVersions", 4, 1, {}), "UNSUPPORTED_VERSION"),
        (request("Metadata", 12, 1, {"Topics": None}), "BROKER_NOT_AVAILABLE"),
    ],
)
def test_what_has_no_place_for_an_error_is_not_answered(sent: bytes, error: str) -> None:
    session = make_session()
    assert session.respond(ask(session, sent), {"error": error}) is None


def test_a_metadata_answer_still_names_the_brokers_that_any_connection_of_the_link_was_told_of() -> None:
    make = session_factory("kafka", lambda *broker: WIRE if broker == BROKER else None)
    first, second = make(), make()
    first.receive(Sender.CLIENT, request("Metadata", 12, 1, {}))
    first.receive(Sender.SERVER, metadata(1))
    second.watched = True
    answer = second.respond(ask(second, request("Metadata", 12, 2, {"Topics": [{"Name": "t"}]})), {"error": 5})
    assert answer is not None
    (broker,) = read_reply("Metadata", 12, answer)["Brokers"]
    assert (broker["Host"], broker["Port"]) == WIRE


def test_what_was_answered_is_not_kept() -> None:
    session = make_session()
    value = b"x" * 100_000
    tracemalloc.start()
    for correlation in range(50):
        session.receive(Sender.CLIENT, produce(correlation, value))
        session.receive(Sender.SERVER, produced(correlation))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * len(value)


def test_passwords_are_not_shown() -> None:
    exchange = ask(make_session(), request("SaslAuthenticate", 2, 1, {"AuthBytes": b"\0user\0password"}))
    assert exchange.content == b""
    assert exchange.fields == {"api": "SaslAuthenticate", "version": 2, "client_id": "tester"}


def test_a_repetition_has_an_id_of_its_own_and_its_reply_is_marked() -> None:
    session = make_session()
    sent = produce(1, b"one")
    exchange = ask(session, sent)
    again = session.repeat(exchange, sent)
    assert again is not None
    (correlation,) = struct.unpack_from(">i", again, 8)
    assert correlation < 0
    assert again[:8] + again[12:] == sent[:8] + sent[12:]
    segments = session.receive(Sender.SERVER, produced(1) + produced(correlation))
    assert [segment.exchange.event for segment in segments if segment.exchange] == ["Produce", "repeated"]


def test_a_repetition_s_reply_comes_directly_behind_the_first_among_pipelined_requests() -> None:
    session = make_session()
    first = ask(session, produce(1, b"one"))
    second = ask(session, produce(2, b"two"))
    again = session.repeat(first, produce(1, b"one"))
    assert again is not None
    (correlation,) = struct.unpack_from(">i", again, 8)
    segments = session.receive(Sender.SERVER, produced(1) + produced(correlation) + produced(2))
    assert [segment.exchange and segment.exchange.event for segment in segments] == ["Produce", "repeated", "Produce"]
    assert [segments[0].exchange, segments[2].exchange] == [first, second]
    assert session.broken is None


def test_what_was_answered_is_not_repeated() -> None:
    session = make_session()
    exchange = ask(session, produce(1, b"one"))
    session.receive(Sender.SERVER, produced(1))
    assert session.repeat(exchange, produce(1, b"one")) is None


def test_what_would_lose_a_client_its_place_is_not_repeated() -> None:
    session = make_session()
    for sent in (fetch(1), request("JoinGroup", 9, 2, {}), request("InitProducerId", 4, 3, {})):
        assert session.repeat(ask(session, sent), sent) is None
    half = produce(4, b"one")
    assert session.repeat(ask(session, half), half[:-1]) is None
    assert session.repeat(ask(session, half), half[4:]) is None


def test_every_api_that_is_answered_exists() -> None:
    assert {name for name, _, _ in ANSWERED} <= {api.name for api in apis().values()}


def test_what_is_left_when_a_side_ends_is_given_unless_it_could_hold_an_address() -> None:
    session = make_session()
    sent = produce(1, b"one")
    assert session.receive(Sender.CLIENT, sent[:-1]) == []
    (segment,) = session.finish(Sender.CLIENT)
    assert segment.data == sent[:-1]
    session = make_session()
    session.receive(Sender.CLIENT, request("Metadata", 12, 1, {}) + fetch(2))
    assert session.receive(Sender.SERVER, metadata(1)[:-1]) == []
    assert session.finish(Sender.SERVER) == []
