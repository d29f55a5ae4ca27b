"""The tables of a cell: what there is, what the first version had, and how they are made anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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
_PARTS = f"""
{_COLUMNS}
UNION ALL SELECT tablename, 'index ' || indexname FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass::text, 'constraint ' || conname FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tgrelid::regclass::text, 'trigger ' || tgname FROM pg_trigger
  JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
"""  # noqa: S608
_SECOND_STEP_FAILS = """
CREATE SCHEMA airproof_steps
CREATE SEQUENCE airproof_steps.made;
GRANT USAGE ON SCHEMA airproof_steps TO PUBLIC;
GRANT USAGE ON SEQUENCE airproof_steps.made TO PUBLIC;
CREATE FUNCTION airproof_steps.step() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('airproof_steps.made') > 1 THEN RAISE 'broken off on purpose'; END IF;
END $$;
CREATE EVENT TRIGGER airproof_step ON ddl_command_end EXECUTE FUNCTION airproof_steps.step();
"""


def parts(databases: Databases, names: Iterable[str]) -> frozenset[str]:
    """All that the tables in the databases of these names have: columns, and `auth.domain_events.trigger name`."""
    return _found(databases, names, _PARTS)


def columns(databases: Databases, names: Iterable[str]) -> frozenset[str]:
    """All that there are in the databases of these names: `workspaces.mails.id`."""
    return _found(databases, names, _COLUMNS)


def _found(databases: Databases, names: Iterable[str], query: str) -> frozenset[str]:
    return frozenset(
        f"{database}.{row['of']}.{row['name']}" for database in names for row in databases.all(database, query)
    )


def drop_additions(databases: Databases, names: Iterable[str]) -> None:
    """Takes off the tables what the first version did not have."""
    for column in columns(databases, names):
        database, table, name = column.split(".")
        if name not in FIRST.get(table, (name,)):
            drop = sql.SQL("ALTER TABLE {} DROP COLUMN {} CASCADE")
            with databases.transaction(database) as connection:
                connection.execute(drop.format(sql.Identifier(table), sql.Identifier(name)))


@contextmanager
def set_aside(databases: Databases, database: str) -> Iterator[None]:
    """Puts the tables of the database where nobody looks for them; afterwards they replace those made meanwhile."""
    with databases.connect_admin(database) as admin:
        admin.execute("ALTER SCHEMA public RENAME TO aside")
        try:
            admin.execute("CREATE SCHEMA public")
            admin.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
            yield
        finally:
            admin.execute("DROP SCHEMA public CASCADE")
            admin.execute("ALTER SCHEMA aside RENAME TO public")


@contextmanager
def fail_second_step(databases: Databases, database: str) -> Iterator[None]:
    """Whoever makes tables in the database, or anything else, makes one thing; the second statement fails."""
    with databases.connect_admin(database) as admin:
        admin.execute(_SECOND_STEP_FAILS)
        try:
            yield
        finally:
            admin.execute("DROP EVENT TRIGGER airproof_step")
            admin.execute("DROP SCHEMA airproof_steps CASCADE")
