"""TCP ports that no other run of this user takes: one locked file per port, and a bind to see that nobody else has it.

They lie outside the range from which the kernel takes the local ports of outgoing connections, or a client of anything
could be sitting on one when a server is restarted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
from pathlib import Path

from airproof.errors import ProviderUnavailable

_LOWEST, _HIGHEST = 10240, 65535
_IANA_EPHEMERAL = (49152, 65535)


class PortRegister:
    """The ports of one supervisor."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._locks: dict[int, int] = {}

    def take(self, count: int) -> list[int]:
        """Takes that many ports, beginning at a random one.

        Raises:
            ProviderUnavailable: there are not enough.
        """
        low, high = _ephemeral_range()
        everywhere = range(_LOWEST, _HIGHEST + 1)
        candidates = [port for port in everywhere if not low <= port <= high] or list(everywhere)
        start = random.randrange(len(candidates))  # noqa: S311 - no secret
        taken: list[int] = []
        for port in candidates[start:] + candidates[:start]:
            if len(taken) == count:
                break
            if self._take(port):
                taken.append(port)
        if len(taken) < count:
            self.free(taken)
            raise ProviderUnavailable(f"only {len(taken)} of {count} TCP ports outside {low}-{high} are free")
        return taken

    def free(self, ports: list[int]) -> None:
        """Gives ports back. The files stay: if they were removed, two runs could lock different files of one name."""
        for port in ports:
            os.close(self._locks.pop(port))

    def _take(self, port: int) -> bool:
        if port in self._locks:
            return False
        lock = os.open(self._directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        if not _can_bind(port):
            os.close(lock)
            return False
        self._locks[port] = lock
        return True


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except FileNotFoundError:
        return _IANA_EPHEMERAL
    return int(low), int(high)
