"""The zygote: a program that imports modules once and forks ready-made processes from then on.

It runs as a file and with the standard library, because what it imports belongs to the platform. It has one thread and
no event loop. Over its control socket, one JSON object a line: in `{"id", "name", "entry", "environment", "log"}`; out
`{"ready"}` once, `{"forked": id, "pid"}`, `{"ended": pid, "code"}`. When the socket closes it kills its children and
ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

if not __package__:
    # Run as a file; ours comes last, so that it hides nothing of the platform's.
    sys.path.append(__file__.rsplit("/", 3)[0])

from airproof.supervision.kernel import die_with, kill, name_process


class Zygote:
    """Serves fork requests until the supervisor hangs up."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._wakeup, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> Callable[[], object] | None:
        """Returns in every forked child what it has to call, and in the zygote None when the supervisor is gone."""
        self._tell({"ready": True})
        received = b""
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._wakeup], [], [])
            if self._wakeup in readable:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._control.fileno() not in readable:
                continue
            chunk = self._control.recv(1 << 20)
            if not chunk:
                self._end()
                return None
            *lines, received = (received + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                if self._fork(request):
                    return partial(_enter, request)

    def _fork(self, request: dict[str, Any]) -> bool:
        """Returns whether this is the child."""
        zygote = os.getpid()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            # Nobody may signal the child before it is bound to die with us: a stopped one would never be.
            os.read(reading, 1)
            os.close(reading)
            self._children.add(pid)
            self._tell({"forked": request["id"], "pid": pid})
            return False
        os.setsid()
        die_with(zygote)
        os.close(reading)
        os.close(writing)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._wakeup, self._writing):
            os.close(descriptor)
        self._control.close()
        return True

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, message: dict[str, object]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _end(self) -> None:
        for pid in self._children:
            kill(pid)


def _enter(request: dict[str, Any]) -> object:
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["entry"]]
    name_process(request["name"].rpartition("/")[2])
    module, _, function = request["entry"].partition(":")
    return getattr(importlib.import_module(module), function)()


def main(arguments: list[str]) -> int:
    """Imports the modules given after the control descriptor, then serves."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    name_process("airproof-zygote")
    gc.disable()  # what is imported stays: looking for garbage in it would cost a tenth of the time
    for module in arguments[1:]:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    enter = Zygote(control).serve()
    result = enter() if enter else 0
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
