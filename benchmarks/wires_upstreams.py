"""The real servers behind the wires of the benchmark: PostgreSQL, Redis, Kafka and an HTTP server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from airproof.environment.model import KafkaSource, PostgresSource, RedisSource
from airproof.environment.topology import Endpoint
from airproof.providers.native import postgres, redis
from airproof.providers.native.commands import PLAIN_ENVIRONMENT, run_to_end
from airproof.providers.native.kafka import broker_spec, provide_broker
from airproof.providers.native.postgres_cluster import INITDB
from airproof.providers.native.prepared import Cache, cache_root
from airproof.providers.native.readiness import Probe, await_ready, http_probe, kafka_probe, redis_probe
from airproof.providers.native.start_archive import archive_flags
from airproof.providers.native.together import Silence
from airproof.supervision import ProcessSpec, Supervisor

GROUP = "bench"
LOOPBACK = "127.0.0.1"
READY_S = 60.0
ROOT = Path(__file__).parents[1]
BODY = '{"status": "ok", "items": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}'

NGINX = f"""\
daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 100000000;
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {{ listen %s; location / {{ default_type application/json; return 200 '{BODY}'; }} }}
}}
"""

Upstreams = dict[str, Endpoint]
"""Where each protocol's server listens."""


def start_upstreams(supervisor: Supervisor) -> Upstreams:
    """Starts all of them and waits until they are ready."""
    supervisor.make_directory(GROUP, "processes")
    started = {"postgres": _postgres, "redis": _redis, "kafka": _kafka, "http": _http}
    endpoints: Upstreams = {}
    probes: dict[str, Probe] = {}
    for protocol, start in started.items():
        endpoints[protocol] = free_endpoint(supervisor)
        spec, probe = start(supervisor, endpoints[protocol])
        supervisor.spawn(spec)
        probes[spec.name] = probe
    await_ready(supervisor, GROUP, probes, timeout_s=READY_S)
    return endpoints


def free_endpoint(supervisor: Supervisor) -> Endpoint:
    """A port that nobody uses."""
    return Endpoint(LOOPBACK, supervisor.take_ports(GROUP, 1)[0])


def _postgres(supervisor: Supervisor, endpoint: Endpoint) -> tuple[ProcessSpec, Probe]:
    server = postgres.find_postgres(PostgresSource.AUTO)
    data = supervisor.make_directory(GROUP, "postgres")
    argv = (server.program("initdb"), *INITDB, "-D", str(data))
    initdb = ProcessSpec(
        f"{GROUP}/initdb", GROUP, argv, dict(PLAIN_ENVIRONMENT), directory=str(data), unprivileged=True
    )
    run_to_end(supervisor, initdb, timeout_s=READY_S)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.writelines(f"{name} = {value}\n" for name, value in postgres.SETTINGS.items())
    return postgres.server_spec(server, GROUP, "postgres", data, endpoint), postgres.primary_probe(endpoint)


def _redis(supervisor: Supervisor, endpoint: Endpoint) -> tuple[ProcessSpec, Probe]:
    server = redis.find_redis(RedisSource.AUTO)
    directory = supervisor.make_directory(GROUP, "redis")
    return redis.redis_spec(server, GROUP, directory, endpoint), redis_probe(endpoint)


def _kafka(supervisor: Supervisor, endpoint: Endpoint) -> tuple[ProcessSpec, Probe]:
    cache = Cache(cache_root(), supervisor.make_directory(GROUP, "cache"))
    broker = provide_broker(cache, supervisor, KafkaSource.AUTO, Silence())
    flags = archive_flags(cache, broker)
    controller = free_endpoint(supervisor)
    spec = broker_spec(broker, supervisor, GROUP, endpoint, controller, expendable=False, java_flags=flags)
    return spec, kafka_probe(endpoint)


def _http(supervisor: Supervisor, endpoint: Endpoint) -> tuple[ProcessSpec, Probe]:
    directory = supervisor.make_directory(GROUP, "http")
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if nginx:
        file = directory / "nginx.conf"
        file.write_text(NGINX % endpoint)
        argv: tuple[str, ...] = (nginx, "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(file))
    else:
        argv = (sys.executable, str(Path(__file__).parent / "wires_http.py"), str(endpoint.port), BODY)
    spec = ProcessSpec(f"{GROUP}/http", GROUP, argv, dict(PLAIN_ENVIRONMENT), directory=str(directory))
    return spec, http_probe(endpoint, "/")


def fill_postgres(endpoint: Endpoint) -> str:
    """Makes the tables of pgbench; its path, empty if it is not installed."""
    programs = postgres.find_postgres(PostgresSource.AUTO).programs
    pgbench = shutil.which("pgbench", path=f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if pgbench:
        address = ["-h", endpoint.host, "-p", str(endpoint.port), "-U", postgres.SUPERUSER]
        subprocess.run([pgbench, "-i", "-q", *address, "postgres"], check=True, capture_output=True, timeout=60)
    return pgbench or ""
