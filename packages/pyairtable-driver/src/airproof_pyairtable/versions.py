"""What services store and send, made in their databases what another version of them would have made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from airproof_pyairtable.databases import Databases
from airproof_pyairtable.manifest import MANIFEST

_HEADS = ("message-id", "kind", "type", "tenant-id", "correlation-id", "causation-id", "source", "saga-id")
_BODIES = (
    *("message_id", "saga_id", "saga_type", "step", "action", "tenant_id", "correlation_id", "timestamp", "payload"),
    *("in_reply_to", "outcome", "reason", "result"),
    *("event_id", "event_type", "aggregate_id", "aggregate_type", "version", "metadata", "causation_id", "source"),
)
_PARTS = (
    *("email", "password_hash", "first_name", "last_name", "user_id", "owner_id", "name", "workspace_id", "recipient"),
    *("resource_type", "resource_id", "role", "permissions"),
)
FIRST = (*_HEADS, *_BODIES, *_PARTS)
"""All names that the first version told something under: in headers, in bodies, and in the objects in these."""

_ADDED = sql.SQL("""SELECT told || '{{"added_by_a_newer_version": "x"}}'""")
_KNOWN = sql.SQL("SELECT coalesce(jsonb_object_agg(key, value), '{{}}') FROM jsonb_each(told) WHERE key = ANY ({})")
_SEND = sql.SQL("""
CREATE FUNCTION airproof_as_another(told jsonb) RETURNS jsonb LANGUAGE sql AS $$ {rule} $$;
CREATE FUNCTION airproof_send_as_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.payload := airproof_as_another(NEW.payload);
    IF TG_TABLE_NAME = 'event_outbox' THEN
        NEW.headers := airproof_as_another(NEW.headers);
        SELECT jsonb_object_agg(
            key, CASE jsonb_typeof(value) WHEN 'object' THEN airproof_as_another(value) ELSE value END
        ) INTO NEW.payload FROM jsonb_each(NEW.payload);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER airproof_as_another BEFORE INSERT ON domain_events FOR EACH ROW
WHEN (NEW.tenant_id = {tenant}) EXECUTE FUNCTION airproof_send_as_another();
CREATE TRIGGER airproof_as_another BEFORE INSERT ON event_outbox FOR EACH ROW
WHEN (NEW.tenant_id = {tenant}) EXECUTE FUNCTION airproof_send_as_another();
""")
_SEND_AS_BEFORE = "DROP FUNCTION airproof_as_another(jsonb), airproof_send_as_another() CASCADE"


@contextmanager
def sent_as_another(databases: Databases, tenant_id: str, *, newer: bool) -> Iterator[None]:
    """Has triggers change each message of the tenant, and each event that is stored: both still say the same."""
    rule = _ADDED.format() if newer else _KNOWN.format(sql.Literal(list(FIRST)))
    text = _SEND.format(rule=rule, tenant=sql.Literal(tenant_id)).as_string()
    names = [service.database for service in MANIFEST.services if service.database]
    databases.each(dict.fromkeys(names, (text, {})))
    try:
        yield
    finally:
        databases.each(dict.fromkeys(names, (_SEND_AS_BEFORE, {})))
