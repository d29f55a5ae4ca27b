"""The prepared PostgreSQL cluster: initialised, migrated, shut down cleanly, kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from airproof.environment.topology import Endpoint
from airproof.errors import ProviderUnavailable
from airproof.platform.driver import Driver, Migration
from airproof.providers.native import postgres
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, pack_tree, run_to_end
from airproof.providers.native.migration import TIMEOUT_S, migration_spec
from airproof.providers.native.postgres import PostgresServer
from airproof.providers.native.prepared import Cache, content_key
from airproof.providers.native.readiness import await_ready
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.providers.protocol import Progress
from airproof.supervision import ProcessSpec, Supervisor

KIND = "postgres-clusters"
FORMAT = "2"
FILE = "cluster.tar"
GROUP = "prepare-postgres"
LOOPBACK = "127.0.0.1"
NEEDS_BYTES = 256 * 2**20
ROOM_MB = 512
INITDB_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 30.0
INITDB = (
    "--no-sync",
    "--no-instructions",
    "--no-locale",
    "--encoding=UTF8",
    "--auth=trust",
    "--wal-segsize=1",
    f"--username={postgres.SUPERUSER}",
)
NAMELESS = "could not look up effective user ID"
"""What initdb says when the user database does not know its user."""

LITTLE_WAL = ("wal_keep_size=0", "max_wal_size=8MB")


def provide_cluster(
    cache: Cache,
    supervisor: Supervisor,
    server: PostgresServer,
    driver: Driver,
    *,
    user: str,
    platform_environment: dict[str, str],
    platform_path: Path | None,
    progress: Progress,
) -> Path:
    """The prepared cluster of the platform as a tar file, made if it is not in the cache.

    Args:
        user: the role that owns the databases.
        platform_environment: what the migration runs with, besides its `DATABASE_URL_TEMPLATE`.

    Raises:
        ProviderUnavailable: it cannot be made; the message holds the last lines of the program that failed.
        CacheError: there is no space for it.
    """
    databases = list(driver.databases())
    settings = json.dumps([postgres.SETTINGS, INITDB, user, databases], sort_keys=True)
    schema = schema_digest(driver.migration, platform_path)
    key = content_key(FORMAT, server.version, server.source, settings, *driver.migration.argv[1:], schema)

    def build(target: Path) -> None:
        try:
            with progress.step("PostgreSQL: a migrated cluster, once"):
                data = supervisor.make_directory(GROUP, "data", room_mb=ROOM_MB)
                _initialise(supervisor, server, data)
                _fill(supervisor, server, data, databases, user, driver.migration, platform_environment)
                pack_tree(supervisor, GROUP, "pack", data, target / FILE)
        finally:
            supervisor.remove(GROUP)

    return cache.provide(KIND, key, build, needs_bytes=NEEDS_BYTES) / FILE


def schema_digest(migration: Migration, platform_path: Path | None) -> str:
    """The content of all files the schema depends on, as the platform would import them.

    Raises:
        ProviderUnavailable: the package is not installed, or nothing in it matches.
    """
    root = _package_directory(migration.schema_package, platform_path)
    sources = sorted(root.glob(migration.schema_glob))
    if not sources:
        raise ProviderUnavailable(f"no file in {root} matches the driver's schema_glob {migration.schema_glob!r}")
    digest = hashlib.sha256()
    for source in sources:
        with suppress(FileNotFoundError):  # an editor's lock, which is a link to nothing, or deleted meanwhile
            digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _package_directory(package: str, platform_path: Path | None) -> Path:
    overlaid = platform_path / package.replace(".", "/") if platform_path else None
    if overlaid and overlaid.is_dir():
        return overlaid
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ProviderUnavailable(f"the platform's package {package!r} is not installed")
    return Path(spec.origin).parent


def _initialise(supervisor: Supervisor, server: PostgresServer, data: Path) -> None:
    argv = (server.program("initdb"), *INITDB, "-D", str(data))
    spec = ProcessSpec(
        name=f"{GROUP}/initdb",
        group=GROUP,
        argv=argv,
        environment=dict(PLAIN_ENVIRONMENT),
        directory=str(data),
        unprivileged=True,
    )
    try:
        run_to_end(supervisor, spec, timeout_s=INITDB_TIMEOUT_S)
    except ProviderUnavailable as error:
        if NAMELESS in str(error):
            raise ProviderUnavailable(
                f"initdb of PostgreSQL wants its user to have a name; uid {os.getuid()} has none in /etc/passwd, and"
                " this machine forbids user namespaces, in which it could borrow one; add a line for it to /etc/passwd,"
                " or run as another user"
            ) from error
        raise
    lines = "".join(f"{name} = {value}\n" for name, value in postgres.SETTINGS.items())
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(lines)


def _fill(
    supervisor: Supervisor,
    server: PostgresServer,
    data: Path,
    databases: Sequence[str],
    user: str,
    migration: Migration,
    platform_environment: dict[str, str],
) -> None:
    endpoint = Endpoint(LOOPBACK, supervisor.take_ports(GROUP, 1)[0])
    spec = postgres.server_spec(server, GROUP, "server", data, endpoint, *LITTLE_WAL)
    forget_with(supervisor, GROUP)
    supervisor.spawn(spec)
    await_ready(supervisor, GROUP, {spec.name: postgres.primary_probe(endpoint)}, timeout_s=READY_TIMEOUT_S)
    note_segments(supervisor, GROUP, spec.name)
    _create(endpoint, databases, user)
    migrate = migration_spec(f"{GROUP}/migration", GROUP, migration, endpoint, user, platform_environment)
    run_to_end(supervisor, migrate, timeout_s=TIMEOUT_S)
    supervisor.signal(spec.name, signal.SIGINT)
    supervisor.wait_exit(spec.name, READY_TIMEOUT_S)
    (data / "postmaster.opts").unlink(missing_ok=True)


def _create(endpoint: Endpoint, databases: Sequence[str], user: str) -> None:
    """The platform's role is no superuser; it may look at what others do, as a monitoring role does."""
    from psycopg import sql

    owner = sql.Identifier(user)
    with postgres.connect(endpoint) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(owner))
        connection.execute(sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(owner))
        for database in databases:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), owner))
