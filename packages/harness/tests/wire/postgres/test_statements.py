"""What an SQL text is taken for."""

from __future__ import annotations

import time

import pytest

from airproof.wire.protocols.postgres.statements import Effect, statements_of


@pytest.mark.parametrize(
    ("text", "event", "verb", "table"),
    [
        ("select * from Items where a = 'from other'", "query", "SELECT", "Items"),
        ('/* why */ -- because\n INSERT INTO shop."Order items" VALUES (1)', "query", "INSERT", "shop.Order items"),
        ("UPDATE ONLY items SET a = 1", "query", "UPDATE", "items"),
        ("with new as (select 1 from b) update items set a = 1", "query", "UPDATE", "items"),
        ("WITH a AS (SELECT * FROM items FOR UPDATE) SELECT * FROM a", "query", "SELECT", "items"),
        ("(SELECT 1) UNION (SELECT 2)", "query", "SELECT", None),
        ("TRUNCATE TABLE items", "query", "TRUNCATE", "items"),
        ("CREATE TABLE IF NOT EXISTS items (id int)", "query", "CREATE", "items"),
        ("start transaction isolation level serializable", "begin", "BEGIN", None),
        ("END", "commit", "COMMIT", None),
        ("commit work", "commit", "COMMIT", None),
        ("ABORT", "rollback", "ROLLBACK", None),
        ("ROLLBACK TRANSACTION TO SAVEPOINT a", "query", "ROLLBACK TO", None),
        ("COPY items (a, b) FROM STDIN", "copy", "COPY", "items"),
        ("LISTEN news", "listen", "LISTEN", None),
        ("PREPARE TRANSACTION 'it''s'", "prepare_transaction", "PREPARE TRANSACTION", None),
        ("rollback prepared 'x'", "rollback_prepared", "ROLLBACK PREPARED", None),
    ],
)
def test_a_statement_is_told_by_its_words(text: str, event: str, verb: str, table: str | None) -> None:
    (statement,) = statements_of(text.encode())
    assert (statement.event, statement.fields["verb"], statement.fields.get("table")) == (event, verb, table)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SELECT 1", False),
        ("SELECT * INTO copied FROM items", True),
        ("SELECT 'into'", False),
        ("EXPLAIN DELETE FROM items", False),
        ("EXPLAIN (ANALYZE) DELETE FROM items", True),
        ("SHOW all", False),
        ("CALL work()", True),
        ("DO $$ BEGIN DELETE FROM items; END $$", True),
        ("COPY (SELECT * FROM items) TO STDOUT", False),
        ("COPY items FROM STDIN", True),
        ("NOTIFY news", True),
    ],
)
def test_a_change_is_told_from_reading(text: str, changes: bool) -> None:
    (statement,) = statements_of(text.encode())
    assert (statement.effect is Effect.CHANGES) is changes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" ; ; ", 0),
        ("-- nothing", 0),
        ("SELECT ';'; SELECT 2;", 2),
        ("SELECT $a$ ; $a$; SELECT E'\\';'", 2),
        ("SELECT $a$ ; $b$ ; $b$; $a$; SELECT $x$b$a$; SELECT 1", 3),
        ("SELECT $1; SELECT $$;$$ /* ; */; SELECT 2 /* ; ", 3),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", 1),
    ],
)
def test_statements_are_counted_where_they_end(text: str, count: int) -> None:
    assert len(statements_of(text.encode())) == count


def test_long_texts_are_read_by_their_beginning_and_shown_short() -> None:
    (statement,) = statements_of(b"INSERT INTO items VALUES " + b"(1)," * 10_000 + b"(1)")
    assert len(str(statement.fields["sql"])) == 500


@pytest.mark.parametrize("opening", ["$x%d$ ", "/* %d "])
def test_what_nothing_closes_is_read_in_one_go(opening: str) -> None:
    text = "".join(opening % number for number in range(50_000)).encode()
    began = time.process_time()
    assert len(statements_of(text)) == 1
    assert time.process_time() - began < 2
