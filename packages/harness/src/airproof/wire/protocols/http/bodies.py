"""Bodies of HTTP messages, followed without being collected."""

from __future__ import annotations

import re
import zlib

from airproof.wire.protocols.framing import CRLF, Violation, ends_well
from airproof.wire.protocols.http.heads import CHUNKED, LONGEST_HEAD, UNTIL_CLOSE, field_line
from airproof.wire.session import REQUEST_LIMIT_BYTES

LONGEST_CHUNK_LINE = 4096

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?").fullmatch
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


class Body:
    """The body that is under way.

    Attributes:
        done: whether it is complete.
    """

    __slots__ = ("_left", "_length", "_trailer_bytes", "_trailers", "done")

    def __init__(self, length: int) -> None:
        self._length = length
        self._left = max(0, length)
        self._trailers = False
        self._trailer_bytes = 0
        self.done = length == 0

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection ends it."""
        return self._length == UNTIL_CLOSE

    def walk(self, data: bytes, at: int) -> int:
        """Goes on to the end of the body, or as far as this piece allows; where it stopped.

        Raises:
            Violation: the chunks are no chunks.
        """
        if self._length == UNTIL_CLOSE:
            return len(data)
        if self._length == CHUNKED:
            return self._walk_chunks(data, at)
        step = min(self._left, len(data) - at)
        self._left -= step
        self.done = not self._left
        return at + step

    def _walk_chunks(self, data: bytes, at: int) -> int:
        end = len(data)
        while at < end and not self.done:
            if self._left:
                ends_well(data, at, self._left)
                step = min(self._left, end - at)
                at += step
                self._left -= step
                continue
            limit = LONGEST_HEAD if self._trailers else LONGEST_CHUNK_LINE
            stop = data.find(CRLF, at, at + limit)
            if stop < 0:
                if end - at >= limit or data.find(b"\n", at) >= 0:
                    raise Violation
                return at
            if self._trailers:
                self._trailer(data[at : stop + 2])
            else:
                self._left = self._chunk(data[at:stop])
            at = stop + 2
        return at

    def _chunk(self, line: bytes) -> int:
        match = _CHUNK(line)
        if match is None:
            raise Violation
        size = int(match[1], 16)
        self._trailers = not size
        return size + 2 if size else 0

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if line == CRLF:
            self.done = True
        elif not field_line(line) or self._trailer_bytes > LONGEST_HEAD:
            raise Violation


NO_BODY = Body(0)
"""One for all that have none: nothing of it ever changes."""


def plain_body(raw: bytes, *, chunked: bool, coding: str) -> bytes:
    """A body as the sender meant it: without chunks and compression; what cannot be undone stays."""
    body = _joined(raw) if chunked else raw
    if coding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, REQUEST_LIMIT_BYTES)
    except zlib.error:
        return body


def _joined(raw: bytes) -> bytes:
    """The contents of chunks, as many as there are."""
    chunks: list[bytes] = []
    at = 0
    while (stop := raw.find(CRLF, at)) >= 0 and (match := _CHUNK(raw[at:stop])):
        size = int(match[1], 16)
        chunks.append(raw[stop + 2 : stop + 2 + size])
        at = stop + 4 + size
    return b"".join(chunks)
