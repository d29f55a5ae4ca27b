"""The connection to a service's own database, and which of its failures pass by themselves."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import MetaData
    from sqlalchemy.engine import ExceptionContext

# A process that is frozen inside a transaction must not hold its locks for ever.
_SESSION_OPTIONS = "-c idle_in_transaction_session_timeout=15000"
# A server that is gone without a word must not be waited for as long as the system would wait, which is hours.
_UNTIL_GONE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
# What a server that is not the primary any more, or not yet, says to whoever writes.
_READ_ONLY = psycopg.errors.ReadOnlySqlTransaction


def open_engine(url: str, application: str, *, pool_size: int = 6) -> AsyncEngine:
    """An engine that connects when it is first used.

    The level is read committed, PostgreSQL's default: every race that matters is decided by a constraint or a lock.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_use_lifo=True,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args={
            "application_name": application,
            "connect_timeout": 5,
            "options": _SESSION_OPTIONS,
            **_UNTIL_GONE,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _keep_values_out)
    return engine


def _refuse_closed(connection: Any, *_: object) -> None:
    """Has the pool replace a connection that the server has closed; costs no round trip.

    An idle connection on which something can be read has been closed or is about to be.
    """
    driver = connection.driver_connection
    readable = select.poll()
    if not driver.closed:
        readable.register(driver.fileno(), select.POLLIN)
    if driver.closed or readable.poll(0):
        raise DisconnectionError("the server has closed this connection")


def _keep_values_out(context: ExceptionContext) -> None:
    """Cuts an error's text down to what holds no value, for it is logged.

    PostgreSQL repeats values: of a row (`Key (email)=(ann@x.example) already exists`), and what it cannot read as data.
    """
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return
    told = "" if isinstance(error, psycopg.DataError) else error.diag.message_primary or ""
    told = " ".join(filter(None, (error.sqlstate, told, error.diag.constraint_name)))
    error.args = (told,)
    if wrapped is not None:
        wrapped.args = (f"({type(error).__name__}) {told}",)


def is_transient(failure: BaseException) -> bool:
    """Whether the same work may succeed later without anybody's help.

    True for lost or refused connections, timeouts, deadlocks, failed serialisations, and a server that changes roles.
    """
    if isinstance(failure, DBAPIError) and (failure.connection_invalidated or isinstance(failure.orig, _READ_ONLY)):
        return True
    return isinstance(failure, (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError))


async def answers(engine: AsyncEngine, timeout_s: float = 1.0) -> bool:
    """Whether the database answers a query in that time."""
    try:
        async with asyncio.timeout(timeout_s), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (DBAPIError, PoolTimeout, OSError, TimeoutError):
        return False
    return True


def create_tables(url: str, schema: Iterable[MetaData]) -> None:
    """Creates the tables that are missing. Two runs at once do not disturb each other."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7077)"))
        for metadata in schema:
            metadata.create_all(connection)
    engine.dispose()
