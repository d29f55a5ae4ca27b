"""The tables of a cell: what there is, and what the first version had."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from airproof_pyairtable.databases import Databases

_OF_A_TENANT = ("id", "tenant_id", "saga_id", "created_at")
FIRST: dict[str, tuple[str, ...]] = {
    "event_outbox": (
        *("id", "position", "tenant_id", "kind", "topic", "key", "type", "headers", "payload", "status", "attempts"),
        *("next_attempt_at", "last_error", "claimed_by", "claimed_until", "created_at", "published_at"),
    ),
    "inbox": ("consumer", "message_id", "received_at"),
    "command_results": (
        *("saga_id", "step", "action", "tenant_id", "outcome", "reason", "result", "reply_id", "executed_at"),
    ),
    "domain_events": (
        *("position", "event_id", "event_type", "aggregate_id", "aggregate_type", "version", "tenant_id"),
        *("occurred_at", "payload", "metadata", "correlation_id", "causation_id"),
    ),
    "tenant_limits": ("tenant_id", "value"),
    "legal_holds": ("tenant_id", "placed_at"),
    "credentials": (*_OF_A_TENANT, "email", "password_hash", "status"),
    "profiles": (*_OF_A_TENANT, "email", "first_name", "last_name", "workspaces"),
    "workspaces": (*_OF_A_TENANT, "owner_id", "name", "version"),
    "role_assignments": (*_OF_A_TENANT, "user_id", "resource_type", "resource_id", "role", "permissions"),
    "mails": (
        *(*_OF_A_TENANT, "recipient", "template", "message_id", "status", "command", "attempts"),
        *("next_attempt_at", "claimed_by", "last_error", "sent_at"),
    ),
    "saga_instances": (
        *("id", "saga_type", "tenant_id", "correlation_id", "state", "input", "context", "reason"),
        *("deadline_at", "timer_at", "version", "created_at", "updated_at"),
    ),
    "saga_steps": (
        *("saga_id", "position", "name", "state", "attempts", "command_id", "reason", "result"),
        *("resend_at", "updated_at"),
    ),
}
"""The columns of each table that the first version had."""
_COLUMNS = """
SELECT table_name AS of, column_name AS name FROM information_schema.columns WHERE table_schema = 'public'
"""


def columns(databases: Databases, names: Iterable[str]) -> frozenset[str]:
    """All that there are in the databases of these names: `workspaces.mails.id`."""
    return frozenset(
        f"{database}.{row['of']}.{row['name']}" for database in names for row in databases.all(database, _COLUMNS)
    )


def drop_additions(databases: Databases, names: Iterable[str]) -> None:
    """Takes off the tables what the first version did not have."""
    for column in columns(databases, names):
        database, table, name = column.split(".")
        if name not in FIRST.get(table, (name,)):
            drop = sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE")
            with databases.transaction(database) as connection:
                connection.execute(drop.format(sql.Identifier(table), sql.Identifier(name)))
