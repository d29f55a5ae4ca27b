"""Rows of PostgreSQL, such as those of an outbox, damaged or removed behind the platform's back.

It is done as the server's administrator with triggers off, as a disk, an operator or a bug below the platform would do
it. Afterwards the old content is put back, unless the row has been written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, UsageError
from airproof.faults.data.damage import Damage
from airproof.faults.targets import Target

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

Value = str | int | bool
_TRIES = 25


@contextmanager
def removed_rows(target: Target, database: str, table: str, where: Mapping[str, Value]) -> Iterator[int]:
    """The rows whose columns have those values are not there; yields how many they were.

    Raises:
        FaultUnsupported: the harness is no administrator of this server.
        FaultNotObserved: there is no such row.
        FaultNotHealed: a row could not be put back.
    """
    with (
        _administrator(target, database) as connection,
        target.history.fault("rows removed", f"{database}.{table}", where=dict(where)) as record,
    ):
        name, condition = _names(table, where)
        rows = connection.execute(
            _sql("DELETE FROM {} t WHERE {} RETURNING to_jsonb(t)::text", name, condition), dict(where)
        ).fetchall()
        if not rows:
            raise FaultNotObserved(f"{database}.{table} has no row with {dict(where)}")
        record.evidence(f"{len(rows)} rows removed", rows=[row[0] for row in rows])
        try:
            yield len(rows)
        finally:
            back = sum(_put_back(connection, name, row[0]) for row in rows)
            record.healed(f"{back} rows put back, {len(rows) - back} were there again")


@contextmanager
def damaged_row(
    target: Target, database: str, table: str, where: Mapping[str, Value], *, column: str, damage: Damage
) -> Iterator[str]:
    """One column of the row is flipped or truncated; yields what it holds then, as text.

    Args:
        where: names the row by other columns than the damaged one, for it is found by them again to be put right.

    Raises:
        UsageError: `where` names the damaged column.
        FaultUnsupported: the harness is no administrator of this server, or the column's type takes no such value.
        FaultNotObserved: there is no such row.
        FaultNotHealed: the old value could not be put back.
    """
    if column in where:
        raise UsageError(f"{column!r} is to be damaged, so the row would not be found by it again; name it by others")
    with (
        _administrator(target, database) as connection,
        target.history.fault(
            "row damaged", f"{database}.{table}.{column}", where=dict(where), damage=str(damage)
        ) as record,
    ):
        name, condition = _names(table, where)
        place = connection.execute(
            _sql("SELECT {}::text FROM {} WHERE {} LIMIT 1", _column(column), name, condition), dict(where)
        ).fetchone()
        if place is None or place[0] is None:
            raise FaultNotObserved(f"{database}.{table} has nothing in {column!r} of a row with {dict(where)}")
        before = str(place[0])
        now = _damage(connection, table, where, column, before, damage)
        record.evidence(f"{column} {damage}", before=before, now=now)
        try:
            yield now
        finally:
            back = _set(connection, table, where, column, now, before)
            record.healed("the old value is back" if back else "the row was written or removed meanwhile")


def _administrator(target: Target, database: str) -> psycopg.Connection[Any]:
    import psycopg

    cell = target.description
    if not cell.database_admin:
        raise FaultUnsupported(f"cannot damage rows of {database!r}: the harness has no administrator's access to it")
    endpoint = cell.node(Role.POSTGRES_PRIMARY.value).endpoint
    return psycopg.connect(
        host=endpoint.host,
        port=endpoint.port,
        user=cell.database_admin,
        dbname=database,
        autocommit=True,
        options="-c session_replication_role=replica",
        connect_timeout=5,
    )


def _damage(
    connection: psycopg.Connection[Any],
    table: str,
    where: Mapping[str, Value],
    column: str,
    before: str,
    damage: Damage,
) -> str:
    """Tries one place after the other until the column's type takes the value; what it holds then."""
    import psycopg

    refused = "there is nothing to change in it"
    for _, wanted in zip(range(_TRIES), damage.candidates(before), strict=False):
        try:
            now = _set(connection, table, where, column, before, wanted)
        except psycopg.Error as error:
            refused = str(error).splitlines()[0]
            continue
        if now is not None and now != before:
            return now
    raise FaultUnsupported(f"column {column!r} of {table!r} cannot be {damage}: {refused}")


def _set(
    connection: psycopg.Connection[Any], table: str, where: Mapping[str, Value], column: str, old: str, new: str
) -> str | None:
    """Writes the column where it still holds the old value; what it holds then, or None if no row does."""
    name, condition = _names(table, where)
    kind = connection.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
        (name.as_string(connection), column),
    ).fetchone()
    from psycopg import sql

    update = _sql(
        "UPDATE {} SET {} = %(_new)s::{} WHERE {} AND {}::text = %(_old)s RETURNING {}::text",
        name,
        _column(column),
        sql.SQL(kind[0] if kind else "text"),
        condition,
        _column(column),
        _column(column),
    )
    row = connection.execute(update, {**where, "_new": new, "_old": old}).fetchone()
    return None if row is None else str(row[0])


def _put_back(connection: psycopg.Connection[Any], name: sql.Composable, row: str) -> int:
    import psycopg

    insert = _sql("INSERT INTO {} SELECT * FROM jsonb_populate_record(NULL::{}, %(row)s::jsonb)", name, name)
    try:
        return connection.execute(_sql("{} ON CONFLICT DO NOTHING", insert), {"row": row}).rowcount
    except psycopg.Error as error:
        raise FaultNotHealed(f"a removed row could not be put back: {error}") from error


def _names(table: str, where: Mapping[str, Value]) -> tuple[sql.Composable, sql.Composable]:
    from psycopg import sql

    conditions = [_sql("{} = {}", _column(name), sql.Placeholder(name)) for name in where]
    return sql.Identifier(*table.split(".")), sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _column(name: str) -> sql.Composable:
    from psycopg import sql

    return sql.Identifier(name)


def _sql(text: str, *parts: sql.Composable) -> sql.Composed:
    from psycopg import sql

    return sql.SQL(text).format(*parts)
