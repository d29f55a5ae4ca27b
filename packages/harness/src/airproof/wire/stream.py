"""One socket of a connection through the wire: reads when it may, writes at once, keeps what does not fit.

Plain non-blocking sockets on the loop's readers and writers rather than transports. A transport writes after all
callbacks of the loop's turn, so bytes would wait until the protocol has been followed; here they leave first. And a
reset can be told from an end, and sent.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

READ_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


def prepare(sock: socket.socket) -> socket.socket:
    """The socket, non-blocking and without Nagle's delay."""
    sock.setblocking(False)
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Stream:
    """One end.

    Attributes:
        congested: whether written bytes wait for the other side to read.
        closed: nothing is read or written any more.
        defect: called with what `received` or `ended` raised.
        received: called with what was read.
        ended: called once when nothing more comes; whether it was a reset.
        drained: called when the last waiting byte has left.
        failed: called when a write finds that nobody can receive it, after everything had been read.
        finished: whether nothing more will be read.
        shut: whether the end has been sent, or will be after what waits.
        silent: whether all that is written vanishes, the end too.
    """

    __slots__ = (
        "_broken",
        "_closing",
        "_loop",
        "_reading",
        "_recv",
        "_send",
        "_sock",
        "_waiting",
        "closed",
        "congested",
        "defect",
        "drained",
        "ended",
        "failed",
        "finished",
        "received",
        "shut",
        "silent",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._recv = sock.recv
        self._send = sock.send
        self._waiting: deque[bytes] = deque()
        self._reading = False
        self.shut = False
        self.silent = False
        self._broken = False
        self._closing = False
        self.finished = False
        self.congested = False
        self.closed = False
        self.received: Callable[[bytes], None] = _ignore
        self.ended: Callable[[bool], None] = _ignore
        self.defect: Callable[[Exception], None] = _raise
        self.drained: Callable[[], None] = _nothing
        self.failed: Callable[[], None] = _nothing

    def read(self) -> None:
        """Begins, or goes on, to read."""
        if not (self._reading or self.finished or self.closed):
            self._reading = True
            self._loop.add_reader(self._sock, self._readable)

    def pause(self) -> None:
        """Stops reading: the sender's window fills, and the sender waits."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def write(self, data: bytes) -> None:
        """Sends now what fits and the rest when it does; what nobody can receive any more is dropped."""
        if self._broken or self.shut or self.silent or self.closed:
            return
        if self.congested:
            self._waiting.append(data)
            return
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self._waiting.append(data[sent:])
            self.congested = True
            self._loop.add_writer(self._sock, self._writable)

    def end(self) -> None:
        """Sends the end of the stream after what still waits."""
        self.shut = True
        if not (self.congested or self.closed or self.silent):
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Sends nothing more, not even what still waits."""
        self.silent = True
        if self.congested:
            self._waiting.clear()
            self._writable()

    def finish(self) -> None:
        """Closes after what still waits."""
        if self.congested:
            self._closing = True
        else:
            self.close()

    def reset(self) -> None:
        """Closes with a reset; what still waits is lost."""
        if not self.closed:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def close(self) -> None:
        """Closes; what still waits here is lost, what the system has taken is delivered."""
        if self.closed:
            return
        self.pause()
        if self.congested:
            self._loop.remove_writer(self._sock)
        self.closed = True
        self.congested = False
        self._waiting.clear()
        self._sock.close()

    def _readable(self) -> None:
        try:
            data = self._recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._finish(reset=True)
            return
        if not data:
            self._finish(reset=False)
            return
        try:
            self.received(data)
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is
            self.defect(error)

    def _finish(self, *, reset: bool) -> None:
        self.pause()
        self.finished = True
        try:
            self.ended(reset)
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is
            self.defect(error)

    def _writable(self) -> None:
        try:
            while self._waiting:
                data = self._waiting[0]
                sent = self._send(data)
                if sent < len(data):
                    self._waiting[0] = data[sent:]
                    return
                self._waiting.popleft()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._waiting.clear()
        self._loop.remove_writer(self._sock)
        self.congested = False
        if self._closing:
            self.close()
            return
        if self.shut:
            self.end()
        self.drained()

    def _break(self) -> None:
        """Nobody receives any more. If there is more to read, reading tells why, after what was sent before."""
        self._broken = True
        if self.finished:
            self.failed()


def _ignore(_: object) -> None:
    pass


def _raise(error: Exception) -> None:
    raise error


def _nothing() -> None:
    pass
