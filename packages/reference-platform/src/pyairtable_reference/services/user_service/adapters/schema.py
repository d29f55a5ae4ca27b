"""The tables of the `users` database."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, func

from pyairtable_reference.kit.schema import holds_metadata, kit_metadata, limits_metadata

metadata = MetaData()

profiles = Table(
    "profiles",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False, index=True),
    Column("saga_id", Uuid, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("workspaces", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

ALL = (kit_metadata, limits_metadata, holds_metadata, metadata)
