"""Starts a supervisor so that clients can connect at once: its socket listens before it exists."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from airproof.errors import ProviderUnavailable
from airproof.supervision.runs import Run, new_run


@dataclass(slots=True)
class Launched:
    """A supervisor that this process has started.

    Attributes:
        lifeline: the end of a pipe that says that this process lives; None for a kept supervisor.
    """

    run: Run
    process: subprocess.Popen[bytes]
    lifeline: int | None

    def reap(self) -> None:
        """Waits until the process is gone."""
        self._cut()
        self.process.wait()

    def let_go(self) -> None:
        """A kept supervisor goes on without us, any other one is told to end and waited for."""
        if self.lifeline is None:
            # It outlives us on purpose; without a return code Popen would warn about that.
            self.process.returncode = self.process.poll() or 0
        else:
            self.reap()

    def _cut(self) -> None:
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None


def launch_supervisor(*, label: str, keep: bool) -> Launched:
    """Makes the run directory and starts its supervisor, in a session of its own.

    Raises:
        ProviderUnavailable: the run directory cannot be made, or its path is too long for a socket.
    """
    try:
        run = new_run(label, keep=keep)
        lock = run.write()
    except OSError as error:
        raise ProviderUnavailable(
            f"cannot make a directory for the run: {error}; free some, or set AIRPROOF_RUNTIME_DIR to another disk"
        ) from error
    ours: int | None = None
    inherited = [lock]
    try:
        with _listen(run) as listener, run.log.open("ab") as log:
            inherited.append(listener.fileno())
            # -S: nothing but the standard library and ourselves is needed, and site-packages cost start-up time.
            command = [sys.executable, "-S", "-P", str(Path(__file__).with_name("__main__.py")), str(run.directory)]
            command += [str(lock), str(listener.fileno())]
            if not keep:
                lifeline, ours = os.pipe()
                inherited.append(lifeline)
                command += [str(lifeline), str(os.getpid())]
            process = subprocess.Popen(
                command,
                cwd=run.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,
            )
    finally:
        for descriptor in (lock, *inherited[2:]):
            os.close(descriptor)
    return Launched(run, process, ours)


def _listen(run: Run) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(run.socket))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ProviderUnavailable(
            f"cannot listen on {run.socket}: {error}; set AIRPROOF_RUNTIME_DIR to a directory with a shorter path"
        ) from error
    return listener
