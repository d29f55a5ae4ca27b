"""The tables of the `permissions` database."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData, Table, Text, UniqueConstraint, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from pyairtable_reference.kit.schema import holds_metadata, kit_metadata, limits_metadata

metadata = MetaData()

role_assignments = Table(
    "role_assignments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("saga_id", Uuid, nullable=False, unique=True),
    Column("user_id", Uuid, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("permissions", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "user_id", "resource_type", "resource_id"),
)

ALL = (kit_metadata, limits_metadata, holds_metadata, metadata)
