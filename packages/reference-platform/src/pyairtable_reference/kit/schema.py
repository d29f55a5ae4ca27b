"""The kit's tables: outbox, inbox, command results and event store of every service, tenancy rules of some."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

kit_metadata = MetaData()
limits_metadata = MetaData()
holds_metadata = MetaData()

PENDING, PUBLISHED, FAILED = "pending", "published", "failed"

event_outbox = Table(
    "event_outbox",
    kit_metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default=PENDING),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_error", Text),
    Column("claimed_by", Text),
    Column("claimed_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("published_at", DateTime(timezone=True)),
)
Index(
    "event_outbox_unsent",
    event_outbox.c.topic,
    event_outbox.c.key,
    event_outbox.c.position,
    postgresql_where=text("status = 'pending'"),
)

inbox = Table(
    "inbox",
    kit_metadata,
    Column("consumer", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

command_results = Table(
    "command_results",
    kit_metadata,
    Column("saga_id", Uuid, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("result", JSONB, nullable=False),
    Column("reply_id", Uuid, nullable=False),
    Column("executed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

domain_events = Table(
    "domain_events",
    kit_metadata,
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("event_id", Uuid, primary_key=True),
    Column("event_type", Text, nullable=False),
    Column("aggregate_id", Text, nullable=False),
    Column("aggregate_type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("causation_id", Text, nullable=False),
    UniqueConstraint("aggregate_id", "version"),
)

# The event log is append-only for everybody, whatever statement a service or an operator tries.
for statement in (
    """
    CREATE OR REPLACE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'domain_events is append-only'; END$$
    """,
    """
    CREATE TRIGGER domain_events_append_only BEFORE UPDATE OR DELETE ON domain_events
    FOR EACH ROW EXECUTE FUNCTION refuse_event_change()
    """,
    """
    CREATE TRIGGER domain_events_never_emptied BEFORE TRUNCATE ON domain_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_event_change()
    """,
):
    event.listen(domain_events, "after_create", DDL(statement))  # type: ignore[no-untyped-call]

tenant_limits = Table(
    "tenant_limits",
    limits_metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)

legal_holds = Table(
    "legal_holds",
    holds_metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("placed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
