"""The databases of a cell: one kept connection each for reading, and fresh ones for what must hold locks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from airproof.environment.topology import CellDescription
from airproof.errors import FaultUnsupported

APPLICATION = "airproof"
Row = dict[str, Any]
Query = tuple[str, Mapping[str, Any]]


class Databases:
    """Reads the databases of one cell. Safe to use from several threads.

    A query is one statement, so that what it reads is one snapshot of its database.
    """

    def __init__(self, cell: CellDescription, names: tuple[str, ...]) -> None:
        self._cell = cell
        self._locks = {name: threading.Lock() for name in names}
        self._kept: dict[str, psycopg.Connection[Row]] = {}
        self._pool = ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="airproof-sql")

    def one(self, database: str, query: str, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row that the query gives."""
        return next(iter(self.all(database, query, values)), None)

    def all(self, database: str, query: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows that the query gives. A connection that was lost is made again, once."""
        with self._locks[database]:
            try:
                return self._run(database, query, values)
            except psycopg.OperationalError:
                self._kept.pop(database).close()
                return self._run(database, query, values)

    def each(self, queries: Mapping[str, Query]) -> dict[str, Row]:
        """The first row of one query for each database, asked of all of them at the same time."""
        futures = {database: self._pool.submit(self.one, database, *query) for database, query in queries.items()}
        return {database: future.result() or {} for database, future in futures.items()}

    def connect(
        self, database: str, *, autocommit: bool = False, user: str = "", replica: bool = False
    ) -> psycopg.Connection[Row]:
        """A fresh connection, for the caller to close; as another role than the databases' owner if one is given."""
        return psycopg.connect(
            self._cell.postgres_url(database, replica=replica),
            user=user or self._cell.database_user,
            autocommit=autocommit,
            application_name=APPLICATION,
            row_factory=dict_row,
        )

    def connect_admin(self, database: str, *, replica: bool = False) -> psycopg.Connection[Row]:
        """A fresh connection that may change the server's settings; each statement is a transaction.

        Raises:
            FaultUnsupported: the environment gives the harness no such role.
        """
        if not self._cell.database_admin:
            raise FaultUnsupported(f"cell {self._cell.name!r} has no role that may change PostgreSQL's settings")
        return self.connect(database, autocommit=True, user=self._cell.database_admin, replica=replica)

    @contextmanager
    def transaction(self, database: str) -> Iterator[psycopg.Connection[Row]]:
        """A transaction on a connection of its own; it commits when the block ends and rolls back when it raises."""
        with self.connect(database) as connection:
            yield connection

    def close(self) -> None:
        """Closes all kept connections."""
        self._pool.shutdown()
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()

    def _run(self, database: str, query: str, values: Mapping[str, Any] | None) -> list[Row]:
        if database not in self._kept:
            self._kept[database] = self.connect(database, autocommit=True)
        cursor = self._kept[database].execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []
