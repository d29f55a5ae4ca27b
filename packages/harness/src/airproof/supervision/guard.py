"""The guard: a forked copy of the supervisor that does nothing until the supervisor is gone, then kills what is left.

The kernel kills the supervisor's children with it, but not their children, and a suspended one would stay for ever.
Files are left to the next start, because they tell what happened.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from airproof.supervision.kernel import kill, name_process, send_signal
from airproof.supervision.runs import Run
from airproof.supervision.sweeping import kill_survivors


class Guard:
    """The supervisor's end of the guard."""

    def __init__(self, run: Run, close_in_guard: Iterable[int]) -> None:
        """Forks the guard.

        Args:
            close_in_guard: descriptors whose closing means that the supervisor is gone.
        """
        reading, self._writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._writing, *close_in_guard):
                os.close(descriptor)
            _keep_watch(run, reading)
            os._exit(0)
        os.close(reading)

    def owns(self, pid: int) -> None:
        """Tells the guard of a child."""
        self._tell(b"+%d\n" % pid)

    def buried(self, pid: int) -> None:
        """Tells the guard that a child is gone."""
        self._tell(b"-%d\n" % pid)

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):  # somebody killed the guard: the kernel's own means remain
            os.write(self._writing, line)

    def dismiss(self) -> None:
        """Ends the guard: everything is cleaned up."""
        send_signal(self.pid, signal.SIGKILL)


def _keep_watch(run: Run, reading: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    name_process("airproof-guard")
    alive: set[int] = set()
    with open(reading, "rb", buffering=0) as lines:
        for line in lines:
            pid = int(line[1:])
            if line.startswith(b"+"):
                alive.add(pid)
            else:
                alive.discard(pid)
    for pid in alive:
        kill(pid)
    kill_survivors(run)
