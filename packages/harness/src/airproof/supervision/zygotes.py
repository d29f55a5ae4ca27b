"""The supervisor's side of a zygote: its control socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airproof.errors import NotReady
from airproof.supervision.launching import launch_program
from airproof.supervision.reaper import Reaper
from airproof.supervision.runs import OWNER_VARIABLE, Run
from airproof.supervision.specs import ForkSpec, ZygoteSpec

READY_WITHIN_S = 120.0

_LINE_LIMIT = 1 << 20


@dataclass(slots=True, eq=False)
class _Request:
    spec: ForkSpec
    forked: Callable[[int], object]
    done: asyncio.Future[None]


class ZygoteLink:
    """Talks to one zygote process.

    Attributes:
        pid: of the zygote.
    """

    def __init__(self, run: Run, spec: ZygoteSpec, reaper: Reaper) -> None:
        """Starts the zygote.

        Raises:
            ProviderUnavailable: it cannot be executed.
        """
        self._run = run
        self._reaper = reaper
        self._spec = spec
        self._ids = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._forked: set[int] = set()
        self._ready = asyncio.Event()
        self._buried = asyncio.Event()
        self._gone = False
        self._ours, theirs = socket.socketpair()
        program = str(Path(__file__).with_name("zygote.py"))
        with theirs:
            argv = [sys.executable, "-P", program, str(theirs.fileno()), *spec.preload]
            self.pid = launch_program(run, spec.name, argv, environment=spec.environment, inherited=[theirs.fileno()])
        self._reading = asyncio.get_running_loop().create_task(self._read())
        self._writer: asyncio.StreamWriter | None = None

    def buried(self) -> None:
        """The zygote's exit has been noticed, so its children are the supervisor's now."""
        self._buried.set()

    async def fork(self, spec: ForkSpec, check: Callable[[], None], forked: Callable[[int], object]) -> None:
        """Forks once the zygote is ready.

        Args:
            check: called before anything is forked; may raise.
            forked: called with the pid as soon as it is known, whether or not this coroutine is still wanted.

        Raises:
            NotReady: the zygote has exited, or is not ready in time.
        """
        try:
            await asyncio.wait_for(self._ready.wait(), READY_WITHIN_S)
        except TimeoutError:
            raise NotReady(f"the zygote has not imported the platform within {READY_WITHIN_S:g} s") from None
        check()
        if self._gone or not self._writer:
            raise self._exited(spec)
        number = next(self._ids)
        self._requests[number] = under_way = _Request(spec, forked, asyncio.get_running_loop().create_future())
        self._run.open_log(spec.name).close()
        request = {
            "id": number,
            "name": spec.name,
            "entry": spec.entry,
            "environment": {**spec.environment, OWNER_VARIABLE: self._run.id},
            "log": str(self._run.log_path(spec.name)),
        }
        self._writer.write(json.dumps(request).encode() + b"\n")
        await asyncio.shield(under_way.done)

    def forks_under_way(self, group: str) -> list[asyncio.Future[None]]:
        """The requests for processes of a group that the zygote has not answered."""
        return [request.done for request in self._requests.values() if request.spec.group == group]

    def _exited(self, spec: ForkSpec) -> NotReady:
        name = self._spec.name
        return NotReady(f"cannot fork {spec.name}: its zygote {name} has exited. {self._run.log_tail(name)}")

    async def _read(self) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._ours, limit=_LINE_LIMIT)
        try:
            async for line in reader:
                self._receive(json.loads(line))
        except ConnectionResetError:  # it was killed with a request unread
            pass
        self._writer.close()
        self._gone = True
        self._ready.set()
        await self._buried.wait()
        for request in self._requests.values():
            request.done.set_exception(self._exited(request.spec))
        self._reaper.report_lost(list(self._forked))

    def _receive(self, message: dict[str, int]) -> None:
        if "ready" in message:
            self._ready.set()
        elif "forked" in message:
            request = self._requests.pop(message["forked"])
            self._forked.add(message["pid"])
            request.forked(message["pid"])
            request.done.set_result(None)
        else:
            self._forked.discard(message["ended"])
            self._reaper.report(message["ended"], message["code"])
