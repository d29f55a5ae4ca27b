"""A wire process: reads its configuration, opens its links, answers on its control port, and ends when told.

The configuration is a JSON object, in the file named as the only argument or on standard input:

    {"token": "…", "control": {"host": "127.0.0.1", "port": 0}, "state": "/path/state.json" or null,
     "links": [{"name": "auth-service-postgres", "source": "auth-service", "target": "postgres", "protocol": "postgres",
                "port": 0, "upstream_host": "127.0.0.1", "upstream_port": 5432}, …],
     "end_with_stdin": false, "secrets": []}

When it is ready it prints one line of JSON: `{"control": [host, port], "links": {name: port}}`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from airproof.errors import UsageError
from airproof.wire.server import FIRST_LOOK_S, Control, link_spec
from airproof.wire.service import Service

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `malloc.h`."""

KEPT_BYTES = 32 * 1024 * 1024
"""So much memory that was freed is kept; more than that is given back to the system."""


def main(arguments: list[str]) -> int:
    """Runs until SIGTERM or SIGINT, or the end of standard input if the configuration says so."""
    try:
        text = Path(arguments[0]).read_text() if arguments else sys.stdin.readline()
        configuration = json.loads(text)
        allow_many_files()
        keep_freed_memory()
        _runner()(_run(configuration))
    except (UsageError, ValueError, KeyError, OSError) as error:
        sys.stderr.write(f"airproof.wire: {type(error).__name__}: {error}\n")
        return 4
    return 0


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ImportError:  # slower, otherwise the same
        return asyncio.run
    return uvloop.run


async def _run(configuration: Mapping[str, Any]) -> None:
    state = configuration.get("state")
    service = Service(Path(state) if state else None)
    for data in configuration.get("links", ()):
        service.add_link(link_spec(data), save=False)
    service.restore()
    control = Control(service, str(configuration["token"]), [str(one) for one in configuration.get("secrets", ())])
    where = configuration.get("control", {})
    server = await control.listen(str(where.get("host", "127.0.0.1")), int(where.get("port", 0)))
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if configuration.get("end_with_stdin"):
        _watch_stdin(loop, over)
    await asyncio.gather(*(link.settled(FIRST_LOOK_S) for link in service.links.values()))
    _say_ready(service, server)
    gc.freeze()
    try:
        await over.wait()
    finally:
        server.close()
        service.close()


def _say_ready(service: Service, server: asyncio.Server) -> None:
    host, port = server.sockets[0].getsockname()[:2]
    ready = {"control": [host, port], "links": {name: link.port for name, link in service.links.items()}}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def _watch_stdin(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """Whoever started the wire holds the other end: when it closes, nobody needs the wire any more."""
    stdin = sys.stdin.fileno()

    def readable() -> None:
        with suppress(OSError):
            if os.read(stdin, 4096):
                return
        loop.remove_reader(stdin)
        over.set()

    loop.add_reader(stdin, readable)


def allow_many_files() -> None:
    """Lets this process open as many files as it may: two for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_freed_memory() -> None:
    """Lets glibc use again what a large message needed; a new page for every 4 KiB takes longer than reading them."""
    with suppress(AttributeError):  # another C library
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, KEPT_BYTES)
