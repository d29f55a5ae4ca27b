"""Learns of every exit and lets nothing survive its owner.

The supervisor adopts orphans (`kernel.adopt_orphans`), so what an owned process leaves behind becomes the supervisor's
own child: an unknown one. Those are killed, and the exit is told only when they are gone. So a killed PostgreSQL has no
backend left that would keep its successor from starting, as if it had lived in a container.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from airproof.supervision.guard import Guard
from airproof.supervision.kernel import LINUX, children, process_table, send_signal

_PATIENCE_S = 2.0


class Reaper:
    """Calls back once for every process it watches, with the exit code (negative for a signal)."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._watched: dict[int, Callable[[int], None]] = {}
        self._ended: dict[int, int] = {}
        self._strays: set[int] = set()
        self._impatient: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def watch(self, pid: int, on_exit: Callable[[int], None]) -> None:
        """Watches a child, or a zygote's child, which becomes ours if the zygote ends first."""
        self._guard.owns(pid)
        self._watched[pid] = on_exit

    def report(self, pid: int, code: int) -> None:
        """A zygote says that its child has ended."""
        if pid in self._watched:
            self._ended.setdefault(pid, code)
            self._settle()

    def report_lost(self, pids: list[int]) -> None:
        """The parent of these has ended: those that are not our children now ended before it and were not told of."""
        ours = {pid for pid, parent, _ in process_table() if parent == os.getpid()}
        for pid in pids:
            if pid not in ours:
                self.report(pid, -signal.SIGKILL)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._watched:
                self._ended.setdefault(pid, os.waitstatus_to_exitcode(status))
            self._strays.discard(pid)
        self._settle()

    def _settle(self) -> None:
        """Tells of exits if no stray is left; looks for more only when the known ones are gone: looking is dear."""
        if not self._ended or self._strays:
            return
        if LINUX:
            known = self._watched.keys() | {self._guard.pid}
            self._strays = set(children(os.getpid())) - known
        for pid in self._strays:
            send_signal(pid, signal.SIGKILL)
        if not self._strays:
            self._tell()
        elif not self._impatient:
            # Only a process stuck in the kernel outlives SIGKILL; nobody shall wait for that for ever.
            self._impatient = self._loop.call_later(_PATIENCE_S, self._tell)

    def _tell(self) -> None:
        if self._impatient:
            self._impatient.cancel()
            self._impatient = None
        self._strays = set()
        ended, self._ended = self._ended, {}
        for pid, code in ended.items():
            self._guard.buried(pid)
            self._watched.pop(pid)(code)
