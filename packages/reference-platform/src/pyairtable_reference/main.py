"""The programs of the platform: serve a service, migrate the databases, print the OpenAPI documents."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import uvicorn

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.database import create_tables
from pyairtable_reference.kit.runtime import Runtime
from pyairtable_reference.kit.settings import Settings, SettingsError
from pyairtable_reference.services.catalogue import DATABASES
from pyairtable_reference.services.registry import app_of, service, services


class _Server(uvicorn.Server):
    """Listens first and connects then: a service is alive before it is ready."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen, and then everything else in the background."""
        await super().startup(sockets)
        self._runtime.start()


def serve() -> None:
    """Runs the service the environment describes until SIGTERM; exits 2 if it describes none."""
    try:
        settings = Settings.from_environment()
        runtime = Runtime(service(settings.service_name), settings)
    except SettingsError as wrong:
        _complain(wrong)
    logs.configure(settings)
    app = app_of(settings.service_name)
    app.state.runtime = runtime
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    # When it has shut down, the server raises the signal again for the handler that was there before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_cleanly)
    _Server(config, runtime).run()


def migrate() -> None:
    """Creates the tables of every database; DATABASE_URL_TEMPLATE says where the databases are."""
    template = os.environ.get("DATABASE_URL_TEMPLATE", "")
    if "{database}" not in template:
        _complain(SettingsError(f"environment variable DATABASE_URL_TEMPLATE={template!r} has no '{{database}}' in it"))
    url = template.replace("postgresql://", "postgresql+psycopg://", 1)
    with ThreadPoolExecutor(len(DATABASES)) as workers:
        for done in [
            workers.submit(create_tables, url.replace("{database}", name), schema) for name, schema in DATABASES.items()
        ]:
            done.result()


def openapi() -> None:
    """Prints every service's OpenAPI document as one JSON object."""
    documents = {name: app_of(name).openapi() for name in services()}
    sys.stdout.write(json.dumps(documents, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """The command line: `serve`, `migrate` or `openapi`."""
    commands = {"serve": serve, "migrate": migrate, "openapi": openapi}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.stderr.write(f"usage: pyairtable-reference {{{','.join(commands)}}}\n")
        raise SystemExit(2)
    commands[sys.argv[1]]()


def _complain(wrong: SettingsError) -> NoReturn:
    sys.stderr.write(f"pyairtable-reference: {wrong}\n")
    raise SystemExit(2) from wrong


def _exit_cleanly(*_: object) -> None:
    raise SystemExit(0)
