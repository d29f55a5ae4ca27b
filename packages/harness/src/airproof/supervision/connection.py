"""A client's connection: many threads ask, one reader thread hands out the answers.

One JSON object a line: `{"id", "call", "with"}` goes out, `{"id", "result"}` or `{"id", "error", "message", …}` comes
back, in any order.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from airproof import errors
from airproof.errors import AirproofError, CleanUpError, SupervisorGone, WaitTimeout
from airproof.supervision.runs import Run, is_alive
from airproof.supervision.sweeping import kill_survivors


class Connection:
    """A connected socket with its reader thread."""

    def __init__(self, run: Run, sock: socket.socket) -> None:
        self._run = run
        self._socket = sock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self._closed = ""
        self._ending = False
        self._reader = threading.Thread(target=self._read, name=f"airproof-{run.id}", daemon=True)
        self._reader.start()

    @classmethod
    def open(cls, run: Run) -> Connection:
        """Connects.

        Raises:
            SupervisorGone: nobody listens.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(run.socket))
        except OSError as error:
            sock.close()
            raise SupervisorGone(f"the supervisor of {run.directory} does not answer: {error.strerror}") from error
        return cls(run, sock)

    def call(self, call: str, **arguments: Any) -> Any:
        """Asks and waits for the answer.

        Raises:
            SupervisorGone: the connection is closed, or closes before the answer is there.
            AirproofError: what the supervisor answered.
        """
        answer: SimpleQueue[dict[str, Any]] = SimpleQueue()
        with self._lock:
            if self._process != os.getpid():
                raise SupervisorGone("this process was forked from the one that connected; use Supervisor.attach")
            if self._closed:
                raise SupervisorGone(self._closed)
            self._ending |= call == "stop"
            number = next(self._ids)
            self._waiting[number] = answer
            with suppress(OSError):  # it has ended: the reader notices that too, and answers
                self._socket.sendall(json.dumps({"id": number, "call": call, "with": arguments}).encode() + b"\n")
        received = answer.get()
        if "error" in received:
            raise _error(received)
        return received["result"]

    def wait_closed(self) -> None:
        """Waits until the supervisor has closed the connection, then closes it here."""
        self._reader.join()
        self._socket.close()

    def close(self) -> None:
        """Closes the connection; leases end."""
        with self._lock:
            self._ending = True
            self._closed = "the connection to the supervisor was closed"
        with suppress(OSError):  # the supervisor may have been faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self.wait_closed()

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    self._waiting.pop(answer["id"]).put(answer)
        except OSError:  # a reset is an end like any other
            pass
        if not self._ending and not is_alive(self._run):
            kill_survivors(self._run)
        with self._lock:
            self._closed = self._closed or self._describe_end()
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.put({"error": "SupervisorGone", "message": self._closed})

    def _describe_end(self) -> str:
        if self._ending:
            return "the supervisor has been stopped"
        try:
            said = self._run.log.read_text(errors="replace").splitlines()[-5:]
        except OSError:
            said = []
        return f"the supervisor of {self._run.directory} has ended, and all it owned with it; start the run again" + (
            "; it said: " + " | ".join(said) if said else ""
        )


def _error(answer: dict[str, Any]) -> AirproofError:
    message = answer["message"]
    kind = getattr(errors, answer["error"], AirproofError)
    if kind is CleanUpError:
        return CleanUpError(answer["what"], [AirproofError(failure) for failure in answer["failures"]])
    if kind is WaitTimeout:
        return WaitTimeout(message, last=answer.get("last"), timeout_s=answer.get("timeout_s", 0.0))
    made: AirproofError = kind(message)
    return made
