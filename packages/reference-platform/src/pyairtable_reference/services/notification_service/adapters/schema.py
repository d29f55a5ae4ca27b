"""The tables of the `notifications` database."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, Integer, MetaData, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

from pyairtable_reference.kit.schema import kit_metadata

metadata = MetaData()

QUEUED, SENT, REJECTED = "queued", "sent", "rejected"

mails = Table(
    "mails",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("saga_id", Uuid, nullable=False, unique=True),
    Column("recipient", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False, server_default=QUEUED),
    Column("command", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("claimed_by", Text),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent_at", DateTime(timezone=True)),
)
Index("mails_queued", mails.c.next_attempt_at, postgresql_where=text("status = 'queued'"))

ALL = (kit_metadata, metadata)
