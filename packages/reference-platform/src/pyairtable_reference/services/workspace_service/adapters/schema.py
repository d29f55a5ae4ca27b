"""The tables of the `workspaces` database."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, func

from pyairtable_reference.kit.schema import holds_metadata, kit_metadata, limits_metadata

metadata = MetaData()

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("saga_id", Uuid, nullable=False, unique=True),
    Column("owner_id", Uuid, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

ALL = (kit_metadata, limits_metadata, holds_metadata, metadata)
