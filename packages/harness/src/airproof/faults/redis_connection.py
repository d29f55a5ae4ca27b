"""One connection to Redis, as far as faults need it: commands one after the other, their answers as Python values."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from airproof.environment.topology import Endpoint
from airproof.errors import AirproofError

_TIMEOUT_S = 5.0

Answer = str | int | bytes | list["Answer"] | None


class RedisError(AirproofError):
    """Redis answered with an error, or not at all; the message is its own."""


class RedisConnection:
    """A connection, open while its context lasts.

    Raises:
        RedisError: nobody answers there.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            self._socket = socket.create_connection((endpoint.host, endpoint.port), timeout=_TIMEOUT_S)
        except OSError as error:
            raise RedisError(f"no Redis answers at {endpoint}: {error}") from error
        self._answers = self._socket.makefile("rb")

    def ask(self, *words: str | bytes | int) -> Answer:
        """The answer to a command.

        Raises:
            RedisError: it was an error, or the connection ended.
        """
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
        try:
            self._socket.sendall(b"*%d\r\n%b" % (len(encoded), parts))
            return self._read()
        except OSError as error:
            raise RedisError(f"the connection to Redis ended: {error}") from error

    def close(self) -> None:
        """Ends the connection."""
        self._answers.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Answer:
        line = self._answers.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._answers.read(size + 2)[:-2]
        if kind == b"*":
            return [self._read() for _ in range(int(rest))] if int(rest) >= 0 else None
        raise RedisError(rest.decode(errors="replace") or "the connection ended")
