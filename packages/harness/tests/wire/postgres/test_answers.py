"""What the wire says in the server's place, and what it asks a second time."""

from __future__ import annotations

import struct
import time
import tracemalloc

import pytest

from airproof.wire.protocols.postgres import PostgresSession
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender

STARTUP = struct.pack("!II", 23, 196608) + b"user\0postgres\0\0"
SERIALIZATION = {"sqlstate": "40001", "message": "could not serialize access"}


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def prepared(name: bytes, text: bytes) -> bytes:
    return message(b"P", name + b"\0" + text + b"\0\0\0")


def executed(name: bytes, portal: bytes = b"") -> bytes:
    bind = message(b"B", portal + b"\0" + name + b"\0" + bytes(6))
    return bind + message(b"E", portal + b"\0" + bytes(4))


def done(tag: str, status: str) -> bytes:
    return message(b"C", tag.encode() + b"\0") + message(b"Z", status.encode())


SYNC = message(b"S")


class Talk:
    """A session that is through its startup."""

    def __init__(self) -> None:
        self.session = PostgresSession()
        self.session.watched = True
        self.ask(STARTUP)
        self.reply(message(b"R", bytes(4)) + message(b"Z", b"I"))

    def ask(self, request: bytes) -> Exchange:
        (segment,) = self.session.receive(Sender.CLIENT, request)
        assert segment.exchange
        assert segment.data is request
        assert segment.last
        return segment.exchange

    def reply(self, data: bytes) -> list[Segment]:
        return self.session.receive(Sender.SERVER, data)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_an_answer_outside_a_transaction_leaves_the_connection_idle(talk: Talk) -> None:
    exchange = talk.ask(query("INSERT INTO items VALUES (1)"))
    answer = talk.session.respond(exchange, SERIALIZATION)
    fields = b"SERROR\0VERROR\0C40001\0Mcould not serialize access\0\0"
    assert answer == message(b"E", fields) + message(b"Z", b"I")
    assert exchange.outcome == "ERROR 40001"


def test_an_answer_in_a_transaction_tells_the_client_that_it_has_failed(talk: Talk) -> None:
    talk.ask(query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    commit = talk.ask(query("COMMIT"))
    answer = talk.session.respond(commit, SERIALIZATION)
    assert answer
    assert answer.endswith(message(b"Z", b"E"))
    rollback = talk.ask(query("ROLLBACK"))
    assert rollback.fields["status"] == "E"
    assert rollback.transaction == commit.transaction == 1
    (segment,) = talk.reply(done("ROLLBACK", "I"))
    assert segment.exchange is rollback
    assert rollback.outcome == "ROLLBACK"


def test_the_next_reply_answers_the_next_request(talk: Talk) -> None:
    first = talk.ask(query("SELECT 1"))
    second = talk.ask(query("SELECT 2"))
    third = talk.ask(query("SELECT 3"))
    assert talk.session.respond(second, SERIALIZATION)
    segments = talk.reply(done("SELECT 1", "I") + done("SELECT 1", "I"))
    assert [segment.exchange for segment in segments] == [first, third]


def test_what_the_server_did_may_be_answered_as_if_it_had_failed(talk: Talk) -> None:
    talk.ask(query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    commit = talk.ask(query("COMMIT"))
    talk.reply(done("COMMIT", "I"))
    answer = talk.session.respond(commit, SERIALIZATION)
    assert answer
    assert answer.endswith(message(b"Z", b"I"))
    assert commit.outcome == "COMMIT"


def test_an_answered_pipeline_has_one_error_and_one_ready(talk: Talk) -> None:
    exchange = talk.ask(prepared(b"", b"INSERT INTO items VALUES (1)") + executed(b"") + executed(b"") + SYNC)
    assert exchange.fields["statements"] == 2
    answer = talk.session.respond(exchange, SERIALIZATION)
    assert answer
    assert answer.count(b"Z\0\0\0\5") == 1


def test_a_statement_whose_preparation_was_answered_is_not_known(talk: Talk) -> None:
    preparation = talk.ask(prepared(b"finish", b"COMMIT") + SYNC)
    assert talk.session.respond(preparation, SERIALIZATION)
    assert talk.ask(executed(b"finish") + SYNC).event == "query"


def test_a_fatal_answer_ends_the_connection(talk: Talk) -> None:
    exchange = talk.ask(query("SELECT 1"))
    answer = talk.session.respond(exchange, {"sqlstate": "57P01", "message": "terminating connection"})
    assert answer
    assert b"SFATAL\0" in answer
    assert b"Z\0\0\0\5" not in answer
    assert talk.session.ended


def test_a_startup_is_refused_as_a_server_refuses_it() -> None:
    session = PostgresSession()
    (segment,) = session.receive(Sender.CLIENT, STARTUP)
    assert segment.exchange
    answer = session.respond(segment.exchange, {"sqlstate": "28P01", "message": "password authentication failed"})
    assert answer
    assert b"SFATAL\0" in answer
    assert session.ended


def test_nothing_is_answered_whose_reply_has_begun(talk: Talk) -> None:
    exchange = talk.ask(query("SELECT 1"))
    talk.reply(message(b"T", bytes(2)))
    assert talk.session.respond(exchange, SERIALIZATION) is None


@pytest.mark.parametrize(
    "request_again",
    [
        query("INSERT INTO items VALUES (1)"),
        prepared(b"", b"SELECT 1") + executed(b"") + SYNC,
        executed(b"known") + SYNC,
    ],
)
def test_a_repeated_request_has_a_hidden_reply_directly_after_its_own(talk: Talk, request_again: bytes) -> None:
    exchange = talk.ask(request_again)
    following = talk.ask(query("SELECT 2"))
    assert talk.session.repeat(exchange, request_again) == request_again
    segments = talk.reply(done("INSERT 0 1", "I") + done("INSERT 0 1", "I") + done("SELECT 1", "I"))
    assert [segment.exchange.event for segment in segments if segment.exchange] == [
        exchange.event,
        "repeated",
        following.event,
    ]
    assert segments[0].exchange is exchange


@pytest.mark.parametrize(
    "request_again",
    [
        prepared(b"named", b"SELECT 1") + SYNC,
        executed(b"", portal=b"named") + SYNC,
        query("COPY items FROM STDIN"),
    ],
)
def test_what_cannot_be_done_twice_is_not_repeated(talk: Talk, request_again: bytes) -> None:
    assert talk.session.repeat(talk.ask(request_again), request_again) is None


def test_a_request_is_kept_back_while_watched_and_comes_whole(talk: Talk) -> None:
    request = prepared(b"", b"DELETE FROM items WHERE id = $1") + executed(b"") + SYNC
    assert talk.session.receive(Sender.CLIENT, request[:30]) == []
    assert talk.session.receive(Sender.CLIENT, request[30:-1]) == []
    (segment,) = talk.session.receive(Sender.CLIENT, request[-1:])
    assert segment.data == request
    assert segment.exchange
    assert segment.exchange.fields["table"] == "items"


def test_nothing_is_kept_back_unwatched_but_what_must_be_read(talk: Talk) -> None:
    talk.session.watched = False
    bind = message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, 1_000_000) + bytes(1_000_000) + bytes(2))
    kept = 0
    for at in range(0, len(bind), 10_000):
        piece = bind[at : at + 10_000]
        kept += len(piece) - sum(len(one.data) for one in talk.session.receive(Sender.CLIENT, piece))
        assert kept <= 70_000
    assert kept == 0


def test_a_huge_reply_passes_in_the_pieces_in_which_it_comes(talk: Talk) -> None:
    exchange = talk.ask(query("SELECT long"))
    row = message(b"D", bytes(1_000_000))
    for at in range(0, len(row), 10_000):
        piece = row[at : at + 10_000]
        assert talk.reply(piece) == [(piece, exchange, False)]
    assert talk.reply(done("SELECT 1", "I"))[-1].last


def test_a_flush_behind_a_sync_is_nobodys(talk: Talk) -> None:
    talk.session.watched = False
    request = executed(b"") + SYNC
    first, flush = talk.session.receive(Sender.CLIENT, request + message(b"H"))
    assert first.data == request
    assert flush == (message(b"H"), None, False)


@pytest.mark.parametrize("length", [1, 70_000])
def test_a_commit_contains_all_that_its_transaction_has_said(talk: Talk, length: int) -> None:
    talk.ask(query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    for text in ("INSERT INTO items VALUES ('" + "x" * length + "')", "INSERT INTO items VALUES ('late')", "SELECT 1"):
        talk.ask(query(text))
        talk.reply(done("INSERT 0 1", "T"))
    assert b"'late'" in talk.ask(query("COMMIT")).content


@pytest.mark.parametrize("size", [5, 1000])
def test_a_commit_contains_what_its_transaction_has_copied_however_it_came(talk: Talk, size: int) -> None:
    talk.ask(query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    talk.session.receive(Sender.CLIENT, query("COPY items FROM STDIN"))
    talk.reply(message(b"G", bytes(3)))
    data = message(b"d", b"id-123\n") + message(b"d", b"id-456\n") + message(b"c")
    for at in range(0, len(data), size):
        talk.session.receive(Sender.CLIENT, data[at : at + size])
    talk.reply(done("COPY 2", "T"))
    commit = talk.ask(query("COMMIT"))
    assert commit.content == b"BEGIN\nCOPY items FROM STDIN\nid-123\nid-456\n\nCOMMIT"


def test_a_copy_of_a_transaction_that_has_said_nothing_is_followed(talk: Talk) -> None:
    talk.session.watched = False
    talk.session.receive(Sender.CLIENT, query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    talk.session.receive(Sender.CLIENT, prepared(b"put", b"COPY items FROM STDIN") + SYNC)
    talk.reply(message(b"1") + message(b"Z", b"T"))
    talk.session.watched = True
    talk.ask(SYNC)
    talk.reply(message(b"Z", b"T"))
    talk.session.watched = False
    talk.session.receive(Sender.CLIENT, executed(b"put") + SYNC)
    talk.reply(message(b"2") + message(b"G", bytes(3)))
    talk.session.watched = True
    talk.session.receive(Sender.CLIENT, message(b"d", b"1\n") + message(b"c") + SYNC)
    talk.reply(done("COPY 1", "T"))
    assert talk.ask(query("COMMIT")).event == "commit"


def test_a_copy_that_was_begun_with_a_flush_ends_with_its_sync(talk: Talk) -> None:
    flush = message(b"H")
    talk.session.receive(Sender.CLIENT, prepared(b"", b"COPY items FROM STDIN") + executed(b"") + flush)
    talk.reply(message(b"1") + message(b"2") + message(b"G", bytes(3)))
    talk.session.receive(Sender.CLIENT, message(b"d", b"1\n") + message(b"c") + SYNC)
    talk.reply(done("COPY 1", "I"))
    assert not talk.session.opaque
    assert talk.ask(query("SELECT 1")).event == "query"


def test_many_parameters_are_taken_in_at_once(talk: Talk) -> None:
    values = [b"value %d" % number for number in range(30_000)]
    binds = b"".join(struct.pack("!I", len(value)) + value for value in values)
    bind = message(b"B", b"\0\0" + struct.pack("!HH", 0, len(values)) + binds + bytes(2))
    began = time.process_time()
    asked = talk.ask(prepared(b"", b"SELECT 1") + bind + message(b"E", b"\0" + bytes(4)) + SYNC)
    assert time.process_time() - began < 2
    assert asked.content.endswith(b"value 29998\nvalue 29999")


def test_what_a_transaction_has_said_is_bounded_and_forgotten_with_it(talk: Talk) -> None:
    text = "SELECT '" + "x" * 2_000_000 + "'"
    tracemalloc.start()
    talk.ask(query("BEGIN"))
    talk.reply(done("BEGIN", "T"))
    for number in range(20):
        talk.ask(query(text + str(number)))
        talk.reply(done("SELECT 1", "T"))
    inside, _ = tracemalloc.get_traced_memory()
    assert len(talk.ask(query("COMMIT")).content) <= REQUEST_LIMIT_BYTES + 100
    talk.reply(done("COMMIT", "I"))
    talk.ask(query("SELECT 1"))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert inside < 1.5 * REQUEST_LIMIT_BYTES
    assert after < len(text) * 2


def test_the_end_of_a_long_statement_can_be_searched_also_when_it_was_prepared(talk: Talk) -> None:
    long = "INSERT INTO items VALUES ('" + "x" * 70_000 + "'), ('late')"
    assert b"'late'" in talk.ask(query(long)).content
    talk.ask(prepared(b"long", long.encode()) + SYNC)
    assert b"'late'" in talk.ask(executed(b"long") + SYNC).content


def test_what_sql_itself_prepares_is_followed(talk: Talk) -> None:
    talk.ask(query("PREPARE put (int) AS INSERT INTO items VALUES ($1)"))
    talk.reply(done("PREPARE", "I"))
    again = talk.ask(query("EXECUTE put(1)"))
    assert (again.event, again.fields["table"]) == ("autocommit", "items")
    talk.reply(done("INSERT 0 1", "I"))
    talk.ask(query("DEALLOCATE ALL"))
    talk.reply(done("DEALLOCATE ALL", "I"))
    assert "table" not in talk.ask(query("EXECUTE put(1)")).fields


def test_statements_of_the_extended_protocol_go_with_discard_all(talk: Talk) -> None:
    talk.ask(prepared(b"finish", b"COMMIT") + SYNC)
    talk.reply(message(b"1") + message(b"Z", b"I"))
    assert talk.ask(executed(b"finish") + SYNC).event == "commit"
    talk.ask(query("DISCARD ALL"))
    assert talk.ask(executed(b"finish") + SYNC).event == "query"
