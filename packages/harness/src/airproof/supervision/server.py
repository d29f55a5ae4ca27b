"""The supervisor process: accepts clients, and ends with its last owner.

It ends, and everything with it, on `stop`, on SIGTERM, when a client goes that holds a vital group, and when the
process that started it is gone: seen by the end of a pipe (its lifeline) and, because a forked child may hold the pipe
open, by the end of the process itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from airproof.errors import AirproofError, CleanUpError, WaitTimeout
from airproof.supervision.facts import Facts
from airproof.supervision.groups import Groups
from airproof.supervision.guard import Guard
from airproof.supervision.kernel import LINUX, adopt_orphans, name_process
from airproof.supervision.operations import Operations
from airproof.supervision.processes import ProcessTable
from airproof.supervision.reaper import Reaper
from airproof.supervision.runs import Run
from airproof.supervision.specs import JSON
from airproof.supervision.sweeping import remove_trees

_LINE_LIMIT = 1 << 24
log = logging.getLogger("airproof.supervision")


def main(arguments: list[str]) -> None:
    """Runs a supervisor.

    Args:
        arguments: the run directory, then descriptors: the locked label and the listening socket. Unless it is kept, a
            pipe whose end is the end of the run, and the pid of the process whose end is the end of the run.
    """
    directory, lock, listening, *owner = arguments
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    run = Run.read(Path(directory))
    descriptors = [int(lock), int(listening), *map(int, owner[:1])]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    adopt_orphans()
    name_process("airproof-superv")
    guard = Guard(run, descriptors)
    with socket.socket(fileno=int(listening)) as listener:
        asyncio.run(Server(run, guard).serve(listener, *map(int, owner)))


class Server:
    """The clients of a run and what they share. Made and used within one event loop."""

    def __init__(self, run: Run, guard: Guard) -> None:
        self._run = run
        self._guard = guard

    async def serve(self, listener: socket.socket, lifeline: int = -1, owner: int = 0) -> None:
        """Serves until it is over and everything is cleaned up."""
        loop = asyncio.get_running_loop()
        reaper = Reaper(self._guard)
        self._processes = ProcessTable(self._run, reaper)
        self._groups = Groups(self._run, self._processes, reaper)
        self._facts = Facts()
        self._ended: asyncio.Future[str] = loop.create_future()
        self._cleaned: asyncio.Future[list[str]] = loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        for number in (signal.SIGINT, signal.SIGHUP):
            # Handled, not ignored: what is ignored would stay so in every program we start.
            loop.add_signal_handler(number, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, self._end, "SIGTERM")
        if lifeline >= 0:
            loop.add_reader(lifeline, self._end, "the lifeline was cut")
        _watch_process(owner, lambda: self._end("the owner is gone"))
        await asyncio.start_unix_server(self._serve_client, sock=listener, limit=_LINE_LIMIT)
        log.info("run %s, label %r, ends: %s", self._run.id, self._run.label, await self._ended)
        self._cleaned.set_result(await self._clean_up())
        if stops := [task for task in self._tasks if task.get_name() == "stop"]:
            await asyncio.wait(stops)

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    async def _clean_up(self) -> list[str]:
        failures = await self._groups.remove_all()
        for failure in failures:
            log.error("%s", failure)
        if failures:
            # The next start tries again and needs the directory for that.
            return failures
        self._guard.dismiss()
        return remove_trees(*self._run.roots, self._run.directory)

    async def _shut_down(self) -> list[str]:
        self._end("stop")
        return await asyncio.shield(self._cleaned)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = object()
        operations = Operations(client, self._processes, self._groups, self._facts, self._shut_down)
        forget = _watch_process(_peer(writer), writer.transport.abort)
        try:
            async for line in reader:
                request = json.loads(line)
                self._start(_answer(operations, request, writer), request["call"])
        except ConnectionResetError:  # it was killed; that is an end like any other
            pass
        finally:
            forget()
            writer.close()
            for group in self._groups.held_by(client):
                log.info("group %s goes with its client", group.name)
                if group.vital:
                    self._end(f"the client that held {group.name} is gone")
                self._start(self._drop(group.name), "drop")

    async def _drop(self, name: str) -> None:
        for failure in await self._groups.remove(name):
            log.error("%s", failure)

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(operations: Operations, request: dict[str, JSON], writer: asyncio.StreamWriter) -> None:
    answer = {"id": request["id"]}
    try:
        answer["result"] = await operations.answer(request["call"], request["with"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the client has to hear of it
        answer.update(_describe(error))
    writer.write(json.dumps(answer).encode() + b"\n")
    with suppress(ConnectionError):  # it did not wait for the answer
        await writer.drain()


def _describe(error: Exception) -> dict[str, JSON]:
    described: dict[str, JSON] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, CleanUpError):
        described["failures"] = [str(failure) for failure in error.failures]
        described["what"] = error.what
    elif isinstance(error, WaitTimeout):
        described.update(last=error.last, timeout_s=error.timeout_s)
    elif not isinstance(error, AirproofError):
        log.error("an error of the supervisor itself", exc_info=error)
        described["message"] = f"the supervisor failed: {type(error).__name__}: {error}"
    return described


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process that connected; 0 if that cannot be known."""
    if not LINUX:
        return 0
    sock: socket.socket = writer.get_extra_info("socket")
    pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid)


def _watch_process(pid: int, on_end: Callable[[], None]) -> Callable[[], None]:
    """Calls back when a process ends that is not our child; returns what stops the watch. Linux only, not for 0."""
    if not LINUX or pid == 0:
        return lambda: None
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        on_end()
        return lambda: None

    def forget() -> None:
        if loop.remove_reader(descriptor):
            os.close(descriptor)

    def ended() -> None:
        forget()
        on_end()

    loop.add_reader(descriptor, ended)
    return forget
