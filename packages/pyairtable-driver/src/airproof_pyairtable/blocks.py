"""Transactions of a service held from outside: at a table by a lock, at their commit by a standby that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from psycopg import sql

from airproof.waiting import wait_until
from airproof_pyairtable.databases import APPLICATION, Databases
from airproof_pyairtable.places import node_of

LOCK_TIMEOUT = "10s"
TERMINATION_TIMEOUT_MS = 5000
NOBODY = "airproof_nobody"
_TRIAL = "SELECT pg_logical_emit_message(true, 'airproof', '')"
LOOK_AGAIN_S = 0.01


class WriteBlock:
    """Transactions of one database held from outside; see `airproof.platform.driver.EffectBlock`.

    Args:
        waiting: a condition on `pg_stat_activity` that is true for a backend which waits at the block.
        release: ends the hold; called once.
    """

    def __init__(self, databases: Databases, database: str, waiting: str, release: Callable[[], None]) -> None:
        self._databases = databases
        self._database = database
        self._waiting = f"datname = current_database() AND application_name <> '{APPLICATION}' AND {waiting}"
        self._release = release
        self._held = True

    def waiting(self) -> int:
        """How many transactions wait at the block now."""
        return len(self._backends(self._waiting))

    def node(self) -> str:
        """The node of one whose transaction waits."""
        return node_of(self._backends(self._waiting)[0])

    def wait_blocked(self, *, timeout_s: float) -> None:
        """Waits until a transaction waits at the block.

        Raises:
            WaitTimeout: none does.
        """
        wait_until(
            self.waiting,
            timeout_s=timeout_s,
            describe=f"a transaction of {self._database!r} at the block",
            longest_interval_s=LOOK_AGAIN_S,
        )

    def release(self) -> None:
        """Lets what waits go on. Does nothing the second time."""
        if self._held:
            self._held = False
            self._release()

    def break_off(self) -> int:
        """Cuts the connections that wait at the block; returns how many there were."""
        return self._cut(self._waiting)

    def _backends(self, condition: str) -> list[str]:
        query = f"SELECT application_name AS one FROM pg_stat_activity WHERE {condition}"  # noqa: S608
        return [row["one"] for row in self._databases.all(self._database, query)]

    def _cut(self, condition: str) -> int:
        query = f"SELECT pg_terminate_backend(pid, {TERMINATION_TIMEOUT_MS}) FROM pg_stat_activity WHERE {condition}"  # noqa: S608
        return len(self._databases.all(self._database, query))


_BEHIND = """EXISTS (
  WITH RECURSIVE up(pid) AS (
    SELECT unnest(pg_blocking_pids(pg_stat_activity.pid)) UNION SELECT unnest(pg_blocking_pids(up.pid)) FROM up)
  SELECT FROM up WHERE up.pid = {holder})"""


@contextmanager
def hold_writes(databases: Databases, database: str, table: str, *, statement: str = "") -> Iterator[WriteBlock]:
    """Holds every write to the table, until the context ends or the block is released. Readers go on.

    Who waits for one that waits counts as waiting too.

    Args:
        statement: only backends whose statement begins like this count, a regular expression without regard to case.
    """
    connection = databases.connect(database)
    with connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_TIMEOUT))
        lock = sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE")
        connection.execute(lock.format(sql.Identifier(table)))
        waiting = f"{_BEHIND.format(holder=connection.info.backend_pid)} AND query ~* '^({statement})'"
        block = WriteBlock(databases, database, waiting, connection.rollback)
        try:
            yield block
        finally:
            block.release()


@contextmanager
def hold_creation(databases: Databases, database: str, table: str) -> Iterator[WriteBlock]:
    """Drops the table, and holds who makes it anew, and who waits for them, by making one that is rolled back."""
    connection = databases.connect(database)
    with connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_TIMEOUT))
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
        connection.commit()
        connection.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(table)))
        waiting = _BEHIND.format(holder=connection.info.backend_pid)
        block = WriteBlock(databases, database, waiting, connection.rollback)
        try:
            yield block
        finally:
            block.release()


def in_transaction(databases: Databases, database: str) -> bool:
    """Whether a client of the database other than ours has a transaction open."""
    others = f"datname = current_database() AND backend_type = 'client backend' AND application_name <> '{APPLICATION}'"
    query = f"SELECT 1 FROM pg_stat_activity WHERE {others} AND state <> 'idle' LIMIT 1"  # noqa: S608
    return bool(databases.all(database, query))


@contextmanager
def hold_commits(databases: Databases, database: str) -> Iterator[WriteBlock]:
    """Holds every commit of the cluster once it is durable: each then waits for a standby that does not exist.

    The server's checkpointer is what puts that in force and ends it, in its own time. So commits of our own show when
    they are held and when they are not any more. The block tells of the commits of one database.
    """
    with (
        databases.connect_admin(database) as admin,
        databases.connect_admin(database) as trial,
        ThreadPoolExecutor(1, thread_name_prefix="trial-commit") as thread,
    ):
        pid, trying = trial.info.backend_pid, [thread.submit(trial.execute, _TRIAL)]

        def standby() -> str:
            row = admin.execute("SHOW synchronous_standby_names").fetchone()
            return str(row["synchronous_standby_names"]) if row else ""

        def ask_for(name: str) -> None:
            admin.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(name))
            admin.execute("SELECT pg_reload_conf()")

        def release() -> None:
            ask_for(before)
            admin.execute(_TRIAL)

        def is_held() -> bool:
            if trying[0].done():
                trying[0] = thread.submit(trial.execute, _TRIAL)
            waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
            return admin.execute(waits, [pid]).fetchone() is not None

        before = standby()
        block = WriteBlock(databases, database, "wait_event = 'SyncRep'", release)
        ask_for(NOBODY)
        try:
            wait_until(is_held, timeout_s=10, describe="PostgreSQL to hold commits", longest_interval_s=LOOK_AGAIN_S)
            yield block
        finally:
            block.release()


@contextmanager
def hold_replica(databases: Databases, database: str) -> Iterator[None]:
    """Keeps the read replica as it is: what is committed from now on is not seen there until the context ends."""
    with databases.connect_admin(database, replica=True) as admin:

        def state() -> str:
            row = admin.execute("SELECT pg_get_wal_replay_pause_state() AS state").fetchone()
            return str(row["state"]) if row else ""

        admin.execute("SELECT pg_wal_replay_pause()")
        try:
            wait_until(lambda: state() == "paused", timeout_s=10, describe="the replica to pause")
            yield
        finally:
            admin.execute("SELECT pg_wal_replay_resume()")
