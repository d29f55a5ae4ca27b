"""What a client sends before its first message: requests for encryption, a CancelRequest, the StartupMessage."""

from __future__ import annotations

from airproof.wire.protocols.postgres import messages as pg
from airproof.wire.protocols.postgres.conversation import Conversation
from airproof.wire.session import Segment


def packet_size(data: bytes) -> int | None:
    """How long the packet is that begins here, or 8 while that cannot be told; None when it is not PostgreSQL's."""
    if data[0] == pg.TLS_RECORD:
        return None
    if len(data) < 8:
        return 8
    size, code = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    known = code in {pg.SSL_REQUEST, pg.GSS_REQUEST, pg.CANCEL_REQUEST} or code >> 16 == 3
    return size if known and 8 <= size <= pg.LARGEST_STARTUP_BYTES else None


def take_packet(packet: bytes, conversation: Conversation) -> tuple[Segment, bool]:
    """The segment of a packet, and whether messages follow it."""
    code = int.from_bytes(packet[4:8], "big")
    if code == pg.CANCEL_REQUEST:
        turn = conversation.begin("cancel")
        turn.fields = {"process": int.from_bytes(packet[8:12], "big")}
        turn.outcome = ""
        return Segment(packet, turn, last=True), False
    if code >> 16 != 3:
        conversation.negotiations += 1
        return Segment(packet), False
    turn = conversation.begin("startup")
    named = pg.startup_parameters(packet)
    conversation.replication = pg.is_replication(named)
    conversation.identity = {name: named.get(name, "") for name in ("user", "database")}
    turn.fields = {**conversation.identity, "application_name": named.get("application_name", "")}
    turn.content = packet[8:]
    conversation.queue(turn)
    return Segment(packet, turn, last=True), True
