"""A running cell of PyAirtable, as suites use it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg

from airproof.environment.topology import CellDescription
from airproof.errors import UsageError
from airproof.platform.driver import EffectBlock, SagaAccess, Tenant
from airproof.platform.entities import CacheAccess, EntityAccess
from airproof.platform.manifest import Manifest
from airproof.platform.messaging import BusAccess, MailAccess, OutboxAccess
from airproof.platform.requests import RequestAccess
from airproof.platform.sessions import SessionAccess
from airproof_pyairtable.blocks import hold_creation
from airproof_pyairtable.bus import Bus
from airproof_pyairtable.cache import WorkspaceCache
from airproof_pyairtable.databases import APPLICATION, Databases, Query, Row
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import Http
from airproof_pyairtable.mails import Mails
from airproof_pyairtable.manifest import AUTH, MANIFEST, ORCHESTRATOR, WORKSPACE
from airproof_pyairtable.outbox import Outboxes
from airproof_pyairtable.places import database_of
from airproof_pyairtable.registration import Registration
from airproof_pyairtable.requests import Requests
from airproof_pyairtable.sessions import Sessions
from airproof_pyairtable.stores import Stores
from airproof_pyairtable.tables import drop_additions, fail_second_step, parts, set_aside
from airproof_pyairtable.workspaces import Workspaces

_OUTBOX = """
SELECT (SELECT count(*) FROM event_outbox WHERE status = 'pending') AS pending,
       (SELECT coalesce(max(position), 0) FROM event_outbox) AS head
"""
_EXTRA = {
    "sagas": """, (SELECT string_agg(id || ' ' || state, ', ') FROM saga_instances
                   WHERE state NOT IN ('completed', 'compensated', 'failed') OR timer_at IS NOT NULL) AS running""",
    "notifications": ", (SELECT count(*) FROM mails WHERE status = 'queued') AS queued",
}
_OTHER_VALUES = {
    "event_id": "gen_random_uuid()",
    "version": "version + 1000",
    "occurred_at": "now()",
    "payload": "'{}'",
    "metadata": "'{}'",
    **dict.fromkeys(
        ("event_type", "aggregate_id", "aggregate_type", "tenant_id", "correlation_id", "causation_id"), "'other'"
    ),
}
_TAMPERING = {
    **{
        f"{column} be changed": f"UPDATE domain_events SET {column} = {value} WHERE tenant_id = %(tenant)s"  # noqa: S608
        for column, value in _OTHER_VALUES.items()
    },
    "events be deleted": "DELETE FROM domain_events WHERE tenant_id = %(tenant)s",
    "all events be deleted at once": "TRUNCATE domain_events",
}
_OLDER = {
    "event_outbox": ("created_at", "published_at"),
    "inbox": ("received_at",),
    "command_results": ("executed_at",),
    "mails": ("created_at", "sent_at", "next_attempt_at"),
}
_ONLY_IN = {"mails": "notifications"}
_SAGA_AGES = (
    """
    UPDATE saga_instances SET created_at = created_at - age, updated_at = updated_at - age,
                              deadline_at = deadline_at - age
    FROM (SELECT %(days)s * interval '1 day' AS age) AS days
    WHERE state IN ('completed', 'compensated', 'failed')
    """,
    "UPDATE saga_steps SET updated_at = updated_at - %(days)s * interval '1 day'",
)
_TRANSACTIONS = """
SELECT datname, application_name, state FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND application_name <> %(own)s
UNION ALL SELECT database, 'prepared', gid FROM pg_prepared_xacts
"""


class PyAirtable:
    """One running cell; see `airproof.platform.driver.Platform`. Connects when it is first used."""

    manifest: Manifest = MANIFEST

    def __init__(self, cell: CellDescription, *, seed: int) -> None:
        self.cell = cell
        self._names = tuple(service.database for service in MANIFEST.services if service.database)
        self._databases = Databases(cell, self._names)
        self._http = Http(cell)
        self._bus = Bus(cell)
        self._outboxes = Outboxes(self._databases, self._http)
        self._mails = Mails(self._databases)
        self._registration = Registration(self._http, self._databases, self._bus, seed)
        self._cache = WorkspaceCache(cell, self._bus)
        doors = Doors(self._http, cell.secrets, self._cache.connection)
        stores = Stores(self._databases, self._names, self._cache.connection)
        self._workspaces = Workspaces(self._registration, self._databases, doors)
        self._sessions = Sessions(doors, self._http, self._databases, self._cache.connection)
        self._requests = Requests(self._http, doors, self._databases, stores, cell)

    @property
    def bus(self) -> BusAccess:
        """The message bus."""
        return self._bus

    @property
    def outbox(self) -> OutboxAccess:
        """The outboxes of the services."""
        return self._outboxes

    @property
    def mails(self) -> MailAccess:
        """The mails that wait to be sent."""
        return self._mails

    def new_tenant(self, seed: str) -> Tenant:
        """A tenant of its own, with letters of both cases. In a cell that has seen the seed before it gets a number."""
        digest = hashlib.blake2s(seed.encode(), digest_size=5).hexdigest()
        name = f"Te{digest[:4]}.{digest[4:]}"
        query = "SELECT count(DISTINCT tenant_id) AS lives FROM saga_instances WHERE tenant_id ~ %(like)s"
        row = self._databases.one("sagas", query, {"like": f"^{name}(x[0-9]+)?$"}) or {}
        _ = self._bus.log
        return Tenant(f"{name}x{row['lives']}" if row["lives"] else name)

    def sagas(self, name: str) -> SagaAccess:
        """Access to the saga of that name."""
        if name != self._registration.saga.name:
            raise UsageError(f"no saga {name!r}; there is {self._registration.saga.name!r}")
        return self._registration

    def entities(self, name: str) -> EntityAccess:
        """Access to the entities of that kind."""
        _demand_workspaces(name)
        return self._workspaces

    @property
    def requests(self) -> RequestAccess:
        """Requests over HTTP, in whoever's name."""
        return self._requests

    @property
    def sessions(self) -> SessionAccess:
        """Logins through the gateway."""
        return self._sessions

    def cache(self, entity: str) -> CacheAccess:
        """The cache behind reads of the entities of that kind."""
        _demand_workspaces(entity)
        return self._cache

    def tamper(self, service: str, tenant: Tenant) -> list[str]:
        """Tries to change each column of the tenant's stored events and to delete them; undoes what could be done."""
        done = []
        with self._databases.transaction(database_of(service)) as connection:
            for what, statement in _TAMPERING.items():
                with suppress(psycopg.Error), connection.transaction(force_rollback=True):
                    if connection.execute(statement, {"tenant": tenant.id}).rowcount:
                        done.append(f"{service} lets {what}")
        return done

    def age(self, service: str, days: float) -> None:
        """Has its outbox, inbox, results and mails be older, and sagas that have ended."""
        database = database_of(service)
        with self._databases.transaction(database) as connection:
            for table, columns in _OLDER.items():
                if _ONLY_IN.get(table, database) == database:
                    moved = ", ".join(f"{column} = {column} - %(days)s * interval '1 day'" for column in columns)
                    connection.execute(f"UPDATE {table} SET {moved}".encode(), {"days": days})  # noqa: S608
            for statement in _SAGA_AGES if service == ORCHESTRATOR else ():
                connection.execute(statement, {"days": days})

    @contextmanager
    def half_migrated(self) -> Iterator[EffectBlock]:
        """Drops what tables have had added, and legal holds of auth-service, of which none is in force by itself."""
        drop_additions(self._databases, self._names)
        with hold_creation(self._databases, database_of(AUTH), "legal_holds") as block:
            yield block

    def emptied(self, service: str) -> AbstractContextManager[None]:
        """Puts the schema with all of its tables aside, and what was made meanwhile away again."""
        return set_aside(self._databases, database_of(service))

    def one_step_further(self, service: str) -> AbstractContextManager[None]:
        """Has the second statement that makes something fail."""
        return fail_second_step(self._databases, database_of(service))

    def schema(self) -> frozenset[str]:
        """Columns, indexes, constraints and triggers of all tables."""
        return parts(self._databases, self._names)

    def quiet(self) -> list[str]:
        """What keeps the cell from being quiet.

        The outboxes are looked at twice. Nothing was put in between the two looks, so whatever was on the bus at the
        first was all there was, and the groups that had caught up with it then had caught up with everything.
        """
        before = self._look()
        moving = [*_moving(before), *self._transactions()] or self._bus.lag()
        if moving:
            return moving
        after = self._look()
        moved = [name for name in self._names if after[name]["head"] != before[name]["head"]]
        return [*_moving(after), *(f"{name} has new messages" for name in moved)]

    def close(self) -> None:
        """Closes all connections."""
        self._bus.close()
        self._cache.close()
        self._databases.close()
        self._http.close()

    def _look(self) -> dict[str, Row]:
        queries: dict[str, Query] = {name: (_OUTBOX + _EXTRA.get(name, ""), {}) for name in self._names}
        return self._databases.each(queries)

    def _transactions(self) -> list[str]:
        rows = self._databases.all("sagas", _TRANSACTIONS, {"own": APPLICATION})
        return [f"{one['application_name']} has a transaction open in {one['datname']}: {one['state']}" for one in rows]


def _demand_workspaces(name: str) -> None:
    if name != WORKSPACE.name:
        raise UsageError(f"no entity {name!r}; there is {WORKSPACE.name!r}")


def _moving(look: dict[str, Row]) -> list[str]:
    moving = [f"{row['pending']} messages wait in the outbox of {name}" for name, row in look.items() if row["pending"]]
    if running := look["sagas"]["running"]:
        moving.append(f"sagas run: {running}")
    if queued := look["notifications"]["queued"]:
        moving.append(f"{queued} mails are not sent")
    return moving
