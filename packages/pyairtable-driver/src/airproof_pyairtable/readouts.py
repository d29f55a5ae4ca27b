"""What the services' databases hold of one tenant, each read in one statement and therefore one snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from airproof.platform.observation import Effect, Figure, OutboxRow, StoredEvent
from airproof_pyairtable.databases import Databases, Query, Row
from airproof_pyairtable.manifest import MANIFEST, REGISTRATION
from airproof_pyairtable.places import EFFECTS, EffectTable

_COMMON = """
SELECT
  (SELECT json_agg(one) FROM (
     SELECT event_id, event_type, aggregate_id, version, tenant_id, correlation_id, causation_id, payload,
            (extract(epoch FROM occurred_at) * 1000)::float AS occurred_at_ms
     FROM domain_events
     WHERE tenant_id = %(tenant)s OR correlation_id = ANY (%(correlations)s) ORDER BY position) one) AS events,
  (SELECT json_agg(one) FROM (
     SELECT id, topic, status, attempts, last_error, tenant_id FROM event_outbox
     WHERE tenant_id = %(tenant)s AND status <> 'published' ORDER BY position) one) AS outbox
"""
_OWN = """,
  (SELECT json_agg(one) FROM (
     SELECT * FROM {table}
     WHERE {condition} AND (tenant_id = %(tenant)s OR saga_id::text = ANY (%(sagas)s))) one) AS own
"""

_UNTOLD = frozenset({"password_hash", "command"})
"""What no history may hold, or need."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose data is read: the tenant's own, and that of its sagas under whatever tenant it was stored.

    Attributes:
        subjects: of each saga, for effects that do not name theirs.
    """

    tenant_id: str
    subjects: Mapping[str, str]
    correlation_ids: Collection[str]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What all databases hold."""

    effects: tuple[Effect, ...]
    events: tuple[StoredEvent, ...]
    outbox: tuple[OutboxRow, ...]
    figures: tuple[Figure, ...]


def read_holdings(databases: Databases, whose: Whose) -> Holdings:
    """Reads all databases at the same time."""
    rows = databases.each(
        {service.database: _query(service.database, whose) for service in MANIFEST.services if service.database}
    )
    owner = {service.database: service.name for service in MANIFEST.services if service.database}
    return Holdings(
        effects=tuple(
            effect for kind, place in EFFECTS.items() for effect in _effects(kind, place, rows[place.database], whose)
        ),
        events=tuple(_event(owner[name], one) for name, row in rows.items() for one in row["events"] or ()),
        outbox=tuple(_held_back(owner[name], one) for name, row in rows.items() for one in row["outbox"] or ()),
        figures=(*_figures(rows), *_links(rows)),
    )


def read_held_back(databases: Databases, service: str, database: str, tenant_id: str) -> tuple[OutboxRow, ...]:
    """The tenant's messages that one service has not published."""
    row = databases.one(database, _COMMON, {"tenant": tenant_id, "correlations": []}) or {}
    return tuple(_held_back(service, one) for one in row["outbox"] or ())


def _query(database: str, whose: Whose) -> Query:
    values = {
        "tenant": whose.tenant_id,
        "sagas": list(whose.subjects),
        "correlations": list(whose.correlation_ids),
    }
    own = next(
        (_OWN.format(table=one.table, condition=one.condition) for one in EFFECTS.values() if one.database == database),
        "",
    )
    return _COMMON + own, values


def _effects(kind: str, place: EffectTable, row: Row, whose: Whose) -> list[Effect]:
    participant = next(step.participant for step in REGISTRATION.steps if step.effect == kind)
    return [
        Effect(
            participant=participant,
            kind=kind,
            id=one["id"],
            subject=one[place.subject] if place.subject else whose.subjects.get(one["saga_id"], ""),
            saga_id=one["saga_id"],
            tenant_id=one["tenant_id"],
            facts={name: value for name, value in one.items() if name not in _UNTOLD},
        )
        for one in row["own"] or ()
    ]


def _event(service: str, one: Row) -> StoredEvent:
    return StoredEvent(service=service, **one)


def _held_back(service: str, one: Row) -> OutboxRow:
    return OutboxRow(
        service=service,
        message_id=one["id"],
        topic=one["topic"],
        status=one["status"],
        attempts=one["attempts"],
        last_error=one["last_error"] or "",
        tenant_id=one["tenant_id"],
    )


def _links(rows: Mapping[str, Row]) -> tuple[Figure, ...]:
    """Of each saga that has a profile, how many of its workspaces and roles name the right ones."""
    of_saga = {name: _by_saga(rows[name]) for name in ("users", "workspaces", "permissions")}
    figures = []
    for saga_id, profiles in of_saga["users"].items():
        users = {one["id"] for one in profiles}
        workspaces, roles = of_saga["workspaces"].get(saga_id, []), of_saga["permissions"].get(saga_id, [])
        places = {one["id"] for one in workspaces}
        owned = sum(one["owner_id"] in users for one in workspaces)
        right = sum(one["user_id"] in users and one["resource_id"] in places for one in roles)
        email = profiles[0]["email"]
        figures.append(
            Figure("workspace-service", "workspaces owned by their saga's user", email, owned, len(workspaces))
        )
        if workspaces:
            figures.append(Figure("permission-service", "roles of their saga's user", email, right, len(roles)))
    return tuple(figures)


def _by_saga(row: Row) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for one in row["own"] or ():
        found.setdefault(one["saga_id"], []).append(one)
    return found


def _figures(rows: Mapping[str, Row]) -> tuple[Figure, ...]:
    """How many workspaces each profile shows, beside how many its user owns."""
    owners = [one["owner_id"] for one in rows["workspaces"]["own"] or ()]
    service = next(one.name for one in MANIFEST.services if one.database == "users")
    return tuple(
        Figure(service, "workspaces", one["email"], one["workspaces"], owners.count(one["id"]))
        for one in rows["users"]["own"] or ()
    )
