"""The launching half: how the services of PyAirtable are started in a cell."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from airproof.environment.topology import CellDescription, Role
from airproof.platform.driver import Migration, Platform, ServiceLaunch, Topic
from airproof_pyairtable.manifest import GATEWAY, MANIFEST, REGISTRATION
from airproof_pyairtable.places import TOPICS

# What differs from production, so that a test need not wait: commands are sent again soon, a message that the broker
# refuses is given up soon, what failed is tried again at once or soon. Passwords are hashed cheaply, but not so cheaply
# that nobody would notice whether it is done. What services show each other is good so shortly that whoever shows it
# again is found out. The deadline of a saga and the session of a consumer stay long, so that a slow machine never
# compensates or rebalances by luck.
TUNABLES = {
    "SAGA_RESEND_S": "0.25",
    "SAGA_RETRY_S": "2",
    "SAGA_DEADLINE_S": str(REGISTRATION.deadline_s),
    "OUTBOX_MAX_ATTEMPTS": "3",
    "OUTBOX_RETRY_S": "0.05",
    "CONSUMER_SESSION_MS": "30000",
    "CONSUMER_LONGEST_RETRY_S": "0.05",
    "PASSWORD_SCRYPT_LOG2_N": "10",
    "SERVICE_TOKEN_S": f"{MANIFEST.tokens_last_s:.0f}",
}


class PyAirtableDriver:
    """Everything a provider needs to bring PyAirtable up; see `airproof.platform.driver.Driver`."""

    manifest = MANIFEST
    preload: tuple[str, ...] = ("pyairtable_reference.preload",)
    access: tuple[str, ...] = ("airproof_pyairtable.platform",)
    migration = Migration(
        argv=(sys.executable, "-m", "pyairtable_reference", "migrate"),
        schema_package="pyairtable_reference",
        schema_glob="**/schema.py",
        entry="pyairtable_reference.main:migrate",
    )
    topics: tuple[Topic, ...] = TOPICS

    def databases(self) -> Sequence[str]:
        """The databases of the platform."""
        return [service.database for service in MANIFEST.services if service.database]

    def launch(self, node: str, cell: CellDescription) -> ServiceLaunch:
        """How to start an instance of a service in a cell whose endpoints are known but need not answer yet."""
        endpoint, service = cell.node(node).endpoint, cell.node(node).service
        smtp = cell.node(Role.SMTP.value).endpoint
        upstreams = {
            one.name: f"http://{one.endpoint}" for one in cell.services() if one.name == one.service != GATEWAY
        }
        database = MANIFEST.service(service).database
        urls = (
            {
                "DATABASE_URL": cell.postgres_url(database),
                "DATABASE_READ_URL": cell.postgres_url(database, replica=True),
            }
            if database
            else {}
        )
        environment = {
            "SERVICE_NAME": service,
            "SERVICE_INSTANCE": node.removeprefix(f"{service}.") if node != service else "1",
            "HOST": endpoint.host,
            "PORT": str(endpoint.port),
            "REDIS_URL": f"redis://{cell.node(Role.REDIS.value).endpoint}/0",
            "KAFKA_BOOTSTRAP": str(cell.node(Role.KAFKA.value).endpoint),
            "TOPIC_PREFIX": cell.topic_prefix,
            "SMTP_HOST": smtp.host,
            "SMTP_PORT": str(smtp.port),
            "UPSTREAMS": json.dumps(upstreams),
            "SERVICE_SECRET": cell.secrets["service_secret"],
            "ADMIN_KEY": cell.secrets["admin_key"],
        }
        return ServiceLaunch("pyairtable_reference.main:serve", {**environment, **urls, **TUNABLES})

    def connect(self, cell: CellDescription, *, seed: int) -> Platform:
        """Access to a running cell; connects lazily."""
        from airproof_pyairtable.platform import PyAirtable

        return PyAirtable(cell, seed=seed)
