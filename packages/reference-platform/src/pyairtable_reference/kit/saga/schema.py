"""The tables of a saga orchestrator."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

saga_metadata = MetaData()

saga_instances = Table(
    "saga_instances",
    saga_metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_type", Text, nullable=False),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("correlation_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", JSONB, nullable=False),
    Column("context", JSONB, nullable=False),
    Column("reason", Text),
    Column("deadline_at", DateTime(timezone=True), nullable=False),
    Column("timer_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "saga_type", "correlation_id"),
)
Index("saga_instances_timer", saga_instances.c.timer_at, postgresql_where=text("timer_at IS NOT NULL"))

saga_steps = Table(
    "saga_steps",
    saga_metadata,
    Column("saga_id", Uuid, ForeignKey(saga_instances.c.id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("command_id", Uuid),
    Column("reason", Text),
    Column("result", JSONB, nullable=False),
    Column("resend_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
