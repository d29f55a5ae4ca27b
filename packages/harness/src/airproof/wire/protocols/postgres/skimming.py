"""A request and its reply at once, recognised by their shape, so that no exchange need be made of them."""

from __future__ import annotations

from typing import Final

from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.protocols.postgres.messages import HEAD

_EXECUTE_AND_SYNC = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
_AFTER_BIND: Final = frozenset((_EXECUTE_AND_SYNC, b"D\0\0\0\x06P\0" + _EXECUTE_AND_SYNC))
"""How libpq ends a request that executes a prepared statement: the unnamed portal, described or not, then Sync."""

_READY = b"Z\0\0\0\x05"
_PLAIN: Final = pg.PASSING | {pg.COMPLETE}
"""Of a reply that tells nothing but rows and their end."""


def skim(conversation: Conversation, request: bytes, reply: bytes) -> bool:
    """Follows one execution of a prepared statement, if these are the whole of it and the transaction goes on."""
    if request[:1] != b"B" or len(request) < pg.HEAD_BYTES or request[HEAD(request)[1] + 1 :] not in _AFTER_BIND:
        return False
    portal_end, name_end = pg.HEAD_BYTES, request.find(b"\0", pg.HEAD_BYTES + 1)
    bound = conversation.prepared.statements.get(request[portal_end + 1 : name_end])
    if bound is None or request[portal_end] or not (status := _status_after_rows(reply)):
        return False
    return conversation.goes_on(bound, status)


def _status_after_rows(reply: bytes) -> str:
    """The status in its ReadyForQuery; empty unless that ends it and all before it is plain."""
    at, ready = 0, len(reply) - len(_READY) - 1
    if reply[ready:-1] != _READY:
        return ""
    while at < ready:
        kind, size = HEAD(reply, at)
        if kind not in _PLAIN or size < 4:
            return ""
        at += size + 1
    return pg.STATUSES.get(reply[-1:], "") if at == ready else ""
