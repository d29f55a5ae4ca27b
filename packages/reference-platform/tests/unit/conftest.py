"""Real backing services for the tests that need them: they start when the first such test asks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airproof.environment.model import PostgresSource, RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.postgres import SETTINGS, find_postgres, primary_probe, server_spec
from airproof.providers.native.postgres_cluster import INITDB
from airproof.providers.native.readiness import await_ready, redis_probe
from airproof.providers.native.redis import find_redis, redis_spec
from airproof.providers.native.shared_memory import forget_with, note_segments
from airproof.supervision import ProcessSpec, Supervisor, sweeping
from pyairtable_reference.kit.database import create_tables
from pyairtable_reference.services.catalogue import DATABASES

GROUP, PATIENCE_S = "reference", 30.0


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    directory = Path(tempfile.mkdtemp(prefix="airproof-test-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRPROOF_RUNTIME_DIR", str(directory))
        with Supervisor.start(label="reference-platform") as running:
            yield running
        sweeping.sweep()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def redis_url(supervisor: Supervisor) -> str:
    endpoint = _endpoint(supervisor)
    directory = supervisor.make_directory(GROUP, "redis")
    spec = redis_spec(find_redis(RedisSource.AUTO), GROUP, directory, endpoint)
    supervisor.spawn(spec)
    await_ready(supervisor, GROUP, {spec.name: redis_probe(endpoint)}, timeout_s=PATIENCE_S)
    return f"redis://{endpoint}/0"


@pytest.fixture(scope="session")
def workspaces_url(supervisor: Supervisor) -> str:
    """A database with the tables of workspace-service."""
    server, endpoint = find_postgres(PostgresSource.AUTO), _endpoint(supervisor)
    data = supervisor.make_directory(GROUP, "postgres")
    spec = server_spec(server, GROUP, "postgres", data, endpoint)
    argv = (server.program("initdb"), *INITDB, "-D", str(data))
    initdb = ProcessSpec(f"{GROUP}/initdb", GROUP, argv, dict(PLAIN_ENVIRONMENT), str(data), unprivileged=True)
    run_to_end(supervisor, initdb, timeout_s=PATIENCE_S)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
    forget_with(supervisor, GROUP)
    supervisor.spawn(spec)
    await_ready(supervisor, GROUP, {spec.name: primary_probe(endpoint)}, timeout_s=PATIENCE_S)
    note_segments(supervisor, GROUP, spec.name)
    url = f"postgresql://postgres@{endpoint}/postgres"
    create_tables(url.replace("postgresql:", "postgresql+psycopg:"), DATABASES["workspaces"])
    return url


def _endpoint(supervisor: Supervisor) -> Endpoint:
    return Endpoint("127.0.0.1", supervisor.take_ports(GROUP, 1)[0])
