"""What services keep until it goes on, made in their databases what another version of them would have kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from airproof.platform.observation import MessageKind
from airproof_pyairtable.databases import Databases, Query
from airproof_pyairtable.records import KINDS

_KEPT: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "sagas": (
        "saga_instances",
        {"input": ("email", "password_hash", "first_name", "last_name"), "context": ("user_id", "workspace_id")},
    ),
    "notifications": ("mails", {"command": tuple(KINDS[MessageKind.COMMAND])}),
}
"""By database the table of what goes on, and under which names the first version kept what in its columns."""
_ADDED = sql.SQL("""NEW.{column} := NEW.{column} || '{{"added_by_a_newer_version": "x"}}';""")
_KNOWN = sql.SQL(
    "NEW.{column} := (SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(NEW.{column}) "
    "WHERE key = ANY ({names}));"
)
_KEEP = sql.SQL("""
CREATE FUNCTION airproof_keep_as_another() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {changes} RETURN NEW; END $$;
CREATE TRIGGER airproof_keep_as_another BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
WHEN (NEW.tenant_id = {tenant}) EXECUTE FUNCTION airproof_keep_as_another();
""")
_KEEP_AS_BEFORE = "DROP FUNCTION airproof_keep_as_another() CASCADE"


@contextmanager
def kept_as_another(databases: Databases, tenant_id: str, *, newer: bool) -> Iterator[None]:
    """Has triggers change what the tenant's sagas and mails hold, each time that it is written."""
    rule, texts = _ADDED if newer else _KNOWN, dict[str, Query]()
    for name, (table, columns) in _KEPT.items():
        changes = sql.SQL(" ").join(
            rule.format(column=sql.Identifier(column), names=sql.Literal(list(names)))
            for column, names in columns.items()
        )
        keep = _KEEP.format(changes=changes, table=sql.Identifier(table), tenant=sql.Literal(tenant_id))
        texts[name] = (keep.as_string(), {})
    databases.each(texts)
    try:
        yield
    finally:
        databases.each(dict.fromkeys(texts, (_KEEP_AS_BEFORE, {})))
