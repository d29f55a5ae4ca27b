"""What services store and send, made in their databases what another version of them would have made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from airproof_pyairtable.databases import Databases
from airproof_pyairtable.manifest import MANIFEST, REGISTRATION
from airproof_pyairtable.records import ANSWERED, ASKED, KINDS

_HEADS = ("message-id", "kind", "type", "tenant-id", "correlation-id", "causation-id", "source", "saga-id")
_STEPS, _ENTITIES = REGISTRATION.steps, MANIFEST.entities
_ENDS = REGISTRATION.started, REGISTRATION.completed, REGISTRATION.failed, REGISTRATION.compensated
FIRST: dict[str, tuple[str, ...]] = {
    **{f"{name}.execute": (*told, *ANSWERED.get(name, ())) for name, told in ASKED.items()},
    **{f"{name}.compensate": () for name in ASKED},
    **{step.event: step.tells for step in _STEPS},
    **{step.compensation.event: step.compensation.tells for step in _STEPS if step.compensation},
    **dict.fromkeys(_ENDS, REGISTRATION.tells),
    str(REGISTRATION.needs_attention): REGISTRATION.tells,
    **{entity.changed: entity.tells for entity in _ENTITIES},
}
"""The names under which the first version told what a message of each type is about."""
_KNOWN = {
    "heads": _HEADS,
    "kinds": {kind.value: (*names,) for kind, names in KINDS.items()},
    "types": FIRST,
    "metadata": ("correlation_id", "causation_id", "source"),
}

_NEWER = sql.SQL("""SELECT told || '{{"added_by_a_newer_version": "x"}}'""")
# By less than clocks may differ.
_AHEAD, _BEHIND = sql.SQL("interval '0.8 s'"), sql.SQL("interval '-0.8 s'")
_OLDER = sql.SQL("""
SELECT CASE WHEN names IS NULL THEN told ELSE coalesce(
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each(told) WHERE names ? key), '{{}}'
) END
""")
_SEND = sql.SQL("""
CREATE FUNCTION airproof_as_another(told jsonb, names jsonb) RETURNS jsonb LANGUAGE sql AS $$ {rule} $$;
CREATE FUNCTION airproof_send_as_another() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE known jsonb := {known};
BEGIN
    IF TG_TABLE_NAME = 'domain_events' THEN
        NEW.payload := airproof_as_another(NEW.payload, known->'types'->NEW.event_type);
        NEW.occurred_at := NEW.occurred_at + {clock};
        RETURN NEW;
    END IF;
    NEW.headers := airproof_as_another(NEW.headers, known->'heads');
    NEW.payload := airproof_as_another(NEW.payload, known->'kinds'->NEW.kind);
    SELECT jsonb_object_agg(key, CASE
        WHEN key = 'timestamp' THEN to_jsonb((value #>> '{{}}')::timestamptz + {clock})
        WHEN jsonb_typeof(value) <> 'object' THEN value
        WHEN key = 'metadata' THEN airproof_as_another(value, known->key)
        ELSE airproof_as_another(value, known->'types'->NEW.type)
    END) INTO NEW.payload FROM jsonb_each(NEW.payload);
    RETURN NEW;
END $$;
CREATE TRIGGER airproof_as_another BEFORE INSERT ON domain_events FOR EACH ROW
WHEN (NEW.tenant_id = {tenant}) EXECUTE FUNCTION airproof_send_as_another();
CREATE TRIGGER airproof_as_another BEFORE INSERT ON event_outbox FOR EACH ROW
WHEN (NEW.tenant_id = {tenant}) EXECUTE FUNCTION airproof_send_as_another();
""")
_SEND_AS_BEFORE = "DROP FUNCTION airproof_as_another(jsonb, jsonb), airproof_send_as_another() CASCADE"


@contextmanager
def sent_as_another(databases: Databases, tenant_id: str, *, newer: bool) -> Iterator[None]:
    """Has triggers change each message of the tenant, and each event that is stored: both still say the same.

    The clock of a newer version is ahead of the others', that of an older one is behind.
    """
    values: dict[str, Any] = {"tenant": sql.Literal(tenant_id), "known": sql.Literal(json.dumps(_KNOWN))}
    rule, clock = (_NEWER.format(), _AHEAD) if newer else (_OLDER.format(), _BEHIND)
    text = _SEND.format(rule=rule, clock=clock, **values).as_string()
    names = [service.database for service in MANIFEST.services if service.database]
    databases.each(dict.fromkeys(names, (text, {})))
    try:
        yield
    finally:
        databases.each(dict.fromkeys(names, (_SEND_AS_BEFORE, {})))
