"""PostgreSQL."""

from airproof.wire.protocols.postgres.session import PostgresSession

__all__ = ["PostgresSession"]
