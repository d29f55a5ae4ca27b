"""Real clients and a real server: the session says what was done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from select import select
from typing import Any

import psycopg
import pytest
from psycopg.pq.abc import PGconn, PGresult

from airproof.environment.topology import Endpoint
from airproof.wire.session import Exchange


@pytest.fixture(autouse=True)
def table(server: Endpoint) -> Iterator[None]:
    """Autouse: every test writes into this one, and finds it empty."""
    with psycopg.connect(host=server.host, port=server.port, user="postgres", autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS items")
        connection.execute("CREATE TABLE items (id uuid PRIMARY KEY, amount bigint)")
        yield
        connection.execute("DROP TABLE items")


INSERT = "INSERT INTO items VALUES (%s, %s)"
Said = Callable[[Sequence[Exchange]], list[tuple[str, str | None]]]


def next_result(raw: PGconn) -> PGresult | None:
    """libpq's own waiting would keep the forwarder's threads from running."""
    while raw.is_busy():
        select([raw.socket], [], [], 20)
        raw.consume_input()
    return raw.get_result()


def test_a_transaction_is_followed_from_begin_to_its_commit_point(forwarder: Any, said: Said) -> None:
    with forwarder.connect() as connection:
        connection.execute(INSERT, (uuid.uuid4(), 5))
        connection.commit()
        connection.execute("SELECT 1")
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [
        ("begin", "BEGIN"),
        ("query", "INSERT 0 1"),
        ("commit", "COMMIT"),
        ("begin", "BEGIN"),
        ("query", "SELECT 1"),
        ("commit", "COMMIT"),
    ]
    assert [one.transaction for one in exchanges] == [None, 1, 1, 1, 2, 2, 2, None]
    assert [one.fields.get("commit_point") for one in exchanges] == [None, None, None, 1, None, None, 1, None]
    assert [one.fields.get("status") for one in exchanges[1:4]] == ["I", "T", "T"]


def test_connections_begin_with_their_startup_and_end_with_terminate(forwarder: Any) -> None:
    forwarder.connect(application_name="shop").close()
    first, last = forwarder.exchanges()
    assert (first.event, first.outcome) == ("startup", "ReadyForQuery")
    assert first.fields == {"user": "postgres", "database": "postgres", "application_name": "shop"}
    assert (last.event, last.outcome) == ("terminate", "")


def test_a_startup_that_is_refused_ends_with_its_error(forwarder: Any) -> None:
    with pytest.raises(psycopg.OperationalError):
        forwarder.connect(dbname="nowhere")
    assert forwarder.exchanges(-1)[0].outcome == "FATAL 3D000"


def test_a_change_outside_a_transaction_is_an_autocommit(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        connection.execute(INSERT, (uuid.uuid4(), 5))
        connection.execute("SELECT * FROM items")
        connection.execute("WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone")
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [("autocommit", "INSERT 0 1"), ("query", "SELECT 1"), ("autocommit", "SELECT 1")]
    assert [one.transaction for one in exchanges[1:4]] == [1, None, 2]
    assert [one.fields["verb"] for one in exchanges[1:4]] == ["INSERT", "SELECT", "DELETE"]
    assert [one.fields["table"] for one in exchanges[1:4]] == ["items"] * 3


@pytest.mark.parametrize("binary", [True, False])
def test_identifiers_are_found_in_parameters_however_they_are_sent(forwarder: Any, binary: bool) -> None:
    identity = uuid.uuid4()
    with forwarder.connect(autocommit=True) as connection:
        placeholder = "%b" if binary else "%t"
        connection.execute(f"INSERT INTO items VALUES ({placeholder}, {placeholder})", (identity, 123456789))
        connection.execute(f"SELECT * FROM items WHERE id = ANY({placeholder})", ([identity],))
    inserted, selected = forwarder.exchanges()[1:3]
    assert str(identity).encode() in inserted.content
    assert b"123456789" in inserted.content
    assert b"INSERT INTO items" in inserted.content
    assert str(identity).encode() in selected.content


def test_a_prepared_commit_is_recognised_by_its_name(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        raw.prepare(b"finish", b"COMMIT")
        raw.prepare(b"other", b"SELECT 1")
        raw.exec_(b"BEGIN")
        raw.exec_prepared(b"other", [])
        raw.exec_prepared(b"finish", [])
        raw.exec_(b"DEALLOCATE finish")
    assert said(forwarder.exchanges()) == [
        ("parse", "ReadyForQuery"),
        ("parse", "ReadyForQuery"),
        ("begin", "BEGIN"),
        ("query", "SELECT 1"),
        ("commit", "COMMIT"),
        ("query", "DEALLOCATE"),
    ]


def test_a_statement_that_exists_already_keeps_its_meaning(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        raw.prepare(b"finish", b"COMMIT")
        raw.prepare(b"finish", b"SELECT 1")
        raw.exec_prepared(b"finish", [])
    assert said(forwarder.exchanges())[1:] == [("parse", "ERROR 42P05"), ("commit", "COMMIT")]


def test_the_commit_of_a_failed_transaction_is_answered_rollback(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        for text in (b"BEGIN", b"SELECT 1/0", b"SELECT 1", b"COMMIT", b"SELECT 1"):
            raw.exec_(text)
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [
        ("begin", "BEGIN"),
        ("query", "ERROR 22012"),
        ("query", "ERROR 25P02"),
        ("commit", "ROLLBACK"),
        ("query", "SELECT 1"),
    ]
    assert [one.fields["status"] for one in exchanges[1:6]] == ["I", "T", "E", "E", "I"]
    assert [one.transaction for one in exchanges[1:6]] == [1, 1, 1, 1, None]


def test_savepoints_keep_the_transaction(forwarder: Any, said: Said) -> None:
    with forwarder.connect() as connection:
        connection.execute("SAVEPOINT first")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        connection.execute("ROLLBACK TO SAVEPOINT first")
        connection.rollback()
    exchanges = forwarder.exchanges()
    assert {one.transaction for one in exchanges[1:-1]} == {1}
    assert said(exchanges)[-1] == ("rollback", "ROLLBACK")


def test_several_statements_in_one_query_are_one_exchange_named_after_the_heaviest(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        raw.exec_(b"BEGIN; INSERT INTO items VALUES (gen_random_uuid(), 1); COMMIT; SELECT ';'")
        raw.exec_(b"SELECT 1; INSERT INTO items VALUES (gen_random_uuid(), 1)")
        raw.exec_(b"COMMIT AND CHAIN; SELECT 1/0")
        raw.exec_(b"")
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [
        ("commit", "COMMIT"),
        ("autocommit", "INSERT 0 1"),
        ("commit", "ERROR 25P01"),
        ("query", "EmptyQueryResponse"),
    ]
    assert [one.fields["statements"] for one in exchanges[1:5]] == [4, 2, 2, 0]


def test_a_chained_commit_begins_the_next_transaction(forwarder: Any) -> None:
    with forwarder.connect(autocommit=True) as connection:
        for text in (b"BEGIN", b"SELECT 1", b"COMMIT AND CHAIN", b"SELECT 1", b"COMMIT AND NO CHAIN", b"SELECT 1"):
            connection.pgconn.exec_(text)
    assert [one.transaction for one in forwarder.exchanges()[1:-1]] == [1, 1, 1, 2, 2, None]


def test_what_stands_between_two_syncs_of_a_pipeline_is_one_exchange(forwarder: Any, said: Said) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    with forwarder.connect(autocommit=True) as connection, connection.pipeline() as pipeline:
        connection.execute(INSERT, (first, 1))
        connection.execute(INSERT, (second, 2))
        pipeline.sync()
        connection.execute("SELECT 1")
        pipeline.sync()
    exchanges = forwarder.exchanges()
    assert said(exchanges)[:2] == [("autocommit", "INSERT 0 1"), ("query", "SELECT 1")]
    assert exchanges[1].fields["statements"] == 2
    assert str(first).encode() in exchanges[1].content
    assert str(second).encode() in exchanges[1].content


def test_an_error_in_a_pipeline_is_the_outcome_of_all_up_to_the_sync(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        with suppress(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
            connection.execute(INSERT, (uuid.uuid4(), 1))
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 2")
            pipeline.sync()
        connection.execute("SELECT 3")
    assert said(forwarder.exchanges())[0] == ("autocommit", "ERROR 22012")
    assert said(forwarder.exchanges())[-1] == ("query", "SELECT 1")


def test_a_flush_sends_the_beginning_of_an_exchange_on(forwarder: Any) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        raw.enter_pipeline_mode()
        raw.send_query_params(b"SELECT 'first'", None)
        raw.send_flush_request()
        raw.flush()
        first = next_result(raw)
        assert first
        assert first.get_value(0, 0) == b"first"
        next_result(raw)
        raw.send_query_params(b"DELETE FROM items", None)
        raw.pipeline_sync()
        raw.flush()
        while (result := next_result(raw)) is None or result.status != psycopg.pq.ExecStatus.PIPELINE_SYNC:
            pass
        raw.exit_pipeline_mode()
    exchanges = forwarder.exchanges()
    assert [one.event for one in exchanges] == ["startup", "autocommit", "terminate"]
    assert exchanges[1].outcome == "DELETE 0"


@pytest.mark.parametrize(
    "statement", ["COPY items FROM STDIN", "COPY items (id, amount) FROM STDIN WITH (FORMAT text)"]
)
def test_data_copied_in_belongs_to_the_exchange_that_asked_for_it(forwarder: Any, said: Said, statement: str) -> None:
    identity = uuid.uuid4()
    with forwarder.connect(autocommit=True) as connection:
        with connection.cursor().copy(statement) as copy:
            copy.write_row((str(identity), 7))
        connection.execute("SELECT 1")
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [("copy", "COPY 1"), ("query", "SELECT 1")]
    assert str(identity).encode() in exchanges[1].content
    assert exchanges[1].fields["commit_point"] == 1


def test_a_copy_in_the_extended_protocol_ends_with_its_second_sync(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        assert raw.exec_params(b"COPY items FROM STDIN", None).status == psycopg.pq.ExecStatus.COPY_IN
        raw.put_copy_data(str(uuid.uuid4()).encode() + b"\t1\n")
        raw.put_copy_end()
        while next_result(raw):
            pass
        raw.exec_(b"SELECT 1")
    assert said(forwarder.exchanges()) == [("copy", "COPY 1"), ("query", "SELECT 1")]


@pytest.mark.parametrize("data", [b"no uuid\t1\n", None])
def test_a_copy_that_fails_leaves_the_session_in_step(forwarder: Any, said: Said, data: bytes | None) -> None:
    with forwarder.connect(autocommit=True) as connection:
        raw = connection.pgconn
        for extended in (False, True):
            if extended:
                raw.exec_params(b"COPY items FROM STDIN", None)
            else:
                raw.exec_(b"COPY items FROM STDIN")
            if data:
                raw.put_copy_data(data)
            raw.put_copy_end(None if data else b"given up")
            while next_result(raw):
                pass
        raw.exec_(b"SELECT 1")
    outcome = "ERROR 22P02" if data else "ERROR 57014"
    assert said(forwarder.exchanges()) == [("copy", outcome), ("copy", outcome), ("query", "SELECT 1")]


def test_data_copied_out_is_a_reply(forwarder: Any, said: Said) -> None:
    statement = "COPY (SELECT generate_series(1, 10000)) TO STDOUT"
    with forwarder.connect(autocommit=True) as connection, connection.cursor().copy(statement) as copy:
        assert sum(1 for _ in copy.rows()) == 10000
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [("copy", "COPY 10000")]
    assert "commit_point" not in exchanges[1].fields


def test_two_phase_commit_is_seen_in_both_phases(forwarder: Any, said: Said) -> None:
    with forwarder.connect() as connection:
        for finish in (connection.tpc_commit, connection.tpc_rollback):
            branch = connection.xid(1, uuid.uuid4().hex, "shop")
            connection.tpc_begin(branch)
            connection.execute("INSERT INTO items VALUES (gen_random_uuid(), 1)")
            connection.tpc_prepare()
            finish()
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [
        ("begin", "BEGIN"),
        ("query", "INSERT 0 1"),
        ("prepare_transaction", "PREPARE TRANSACTION"),
        ("commit_prepared", "COMMIT PREPARED"),
        ("begin", "BEGIN"),
        ("query", "INSERT 0 1"),
        ("prepare_transaction", "PREPARE TRANSACTION"),
        ("rollback_prepared", "ROLLBACK PREPARED"),
    ]
    assert exchanges[3].fields["gid"] == exchanges[4].fields["gid"]
    assert exchanges[4].fields["commit_point"] == 1


def test_notifications_outside_an_exchange_belong_to_none(forwarder: Any, server: Endpoint, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        connection.execute("LISTEN news")
        with psycopg.connect(host=server.host, port=server.port, user="postgres", autocommit=True) as other:
            other.execute("NOTIFY news, 'outside'")
        assert [one.payload for one in connection.notifies(timeout=20, stop_after=1)] == ["outside"]
        connection.execute("NOTIFY news, 'inside'")
    exchanges = forwarder.exchanges()
    assert said(exchanges) == [("listen", "LISTEN"), ("autocommit", "NOTIFY")]
    alone = [segment.data for _, segment in forwarder.followed[0].segments if segment.exchange is None]
    assert any(b"outside" in data for data in alone)
    assert not any(b"inside" in data for data in alone)


def test_a_cursor_of_the_server_is_followed_through_its_fetches(forwarder: Any, said: Said) -> None:
    with forwarder.connect() as connection, connection.cursor("many") as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 1000)")
        assert len(cursor.fetchmany(10)) == 10
    verbs = [one.fields.get("verb") for one in forwarder.exchanges()]
    assert "DECLARE" in verbs
    assert "FETCH" in verbs


def test_a_cancel_request_is_an_exchange_of_its_own_connection(forwarder: Any, said: Said) -> None:
    with forwarder.connect(autocommit=True) as connection:
        connection.cancel_safe()
        process = connection.info.backend_pid
    cancel = forwarder.exchanges(1)[0]
    assert (cancel.event, cancel.outcome, cancel.fields) == ("cancel", "", {"process": process})


def test_a_server_that_ends_the_connection_leaves_no_reply_open(forwarder: Any, said: Said) -> None:
    with pytest.raises(psycopg.OperationalError), forwarder.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert said(forwarder.exchanges()) == [("query", "FATAL 57P01")]


def test_a_connection_of_replication_passes_as_bytes(forwarder: Any) -> None:
    with forwarder.connect(replication="true", autocommit=True) as connection:
        assert connection.pgconn.exec_(b"IDENTIFY_SYSTEM").ntuples == 1
    assert [one.event for one in forwarder.exchanges()] == ["startup"]
    assert forwarder.followed[0].session.opaque


def test_requests_for_encryption_may_be_declined(forwarder: Any) -> None:
    forwarder.connect(sslmode="prefer").close()
    assert [one.event for one in forwarder.exchanges()] == ["startup", "terminate"]


def test_long_rows_and_long_parameters_pass(forwarder: Any, said: Said) -> None:
    long = "x" * 3_000_000
    with forwarder.connect(autocommit=True) as connection:
        assert connection.execute("SELECT %s::text || 'y'", (long,)).fetchone() == (long + "y",)
    assert said(forwarder.exchanges()) == [("query", "SELECT 1")]


def test_the_same_is_seen_unwatched(make_forwarder: Any, said: Said) -> None:
    forwarder = make_forwarder(watched=False)
    with forwarder.connect() as connection:
        for _ in range(7):
            connection.execute(INSERT, (uuid.uuid4(), 5))
        connection.commit()
    exchanges = forwarder.exchanges()
    inserted = ("query", "INSERT 0 1")
    prepared = ("parse", "ReadyForQuery")
    assert said(exchanges) == [("begin", "BEGIN"), *[inserted] * 5, prepared, *[inserted] * 2, ("commit", "COMMIT")]
    assert {one.transaction for one in exchanges[1:-1]} == {1}
    assert exchanges[2].fields == {}


def test_a_client_may_ask_for_protocol_3_2(forwarder: Any, said: Said) -> None:
    if psycopg.pq.version() < 180000:
        pytest.skip("libpq is older than 18")
    with forwarder.connect(max_protocol_version="3.2", autocommit=True) as connection:
        connection.execute("SELECT 1")
        connection.cancel_safe()
    assert said(forwarder.exchanges()) == [("query", "SELECT 1")]
    assert forwarder.exchanges(1)[0].event == "cancel"
