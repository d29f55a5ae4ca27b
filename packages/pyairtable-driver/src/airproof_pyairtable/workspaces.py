"""Workspaces of a cell, as their owners use them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from airproof.errors import PlatformError
from airproof.platform.driver import EffectBlock, Tenant, Write
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Entity
from airproof.platform.observation import SagaState, Snapshot, StoredEvent, Update, UpdateOutcome
from airproof_pyairtable import blocks
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import error_in, told
from airproof_pyairtable.manifest import WORKSPACE, WORKSPACES_PATH
from airproof_pyairtable.places import database_of, written_table
from airproof_pyairtable.registration import Registration
from airproof_pyairtable.requests import CORRELATION

MADE_TIMEOUT_S = 20.0
_TRUTH = "SELECT id, version, name FROM workspaces WHERE id = %(id)s"
_ADD = """
INSERT INTO workspaces (id, tenant_id, saga_id, owner_id, name, created_at)
VALUES (%(id)s, %(tenant)s, gen_random_uuid(), %(owner)s, %(name)s, now() + %(number)s * interval '1 millisecond')
"""
_STREAM = """
SELECT event_id, event_type, aggregate_id, version, tenant_id, correlation_id, causation_id, payload
FROM domain_events WHERE aggregate_id = %(id)s ORDER BY position
"""


class Workspaces:
    """See `airproof.platform.entities.EntityAccess`."""

    entity: Entity = WORKSPACE

    def __init__(self, registration: Registration, databases: Databases, doors: Doors, *, node: str = "") -> None:
        self._registration = registration
        self._databases = databases
        self._doors = doors
        self._ask = partial(doors.in_its_place, node) if node else doors.through_the_gateway

    def create(self, tenant: Tenant, *, called: EntityRef | None = None) -> EntityRef:
        """Registers a user of the tenant, who gets a workspace; with an address of their own, or that of another."""
        subject = str(self._doors.known(called.owner)["email"]) if called else None
        given = self._registration.make_input(tenant, subject=subject)
        saga_id = self._registration.start(given)
        ended = self._registration.wait_terminal(saga_id, timeout_s=MADE_TIMEOUT_S)
        if ended.state is not SagaState.COMPLETED:
            raise PlatformError(f"the registration that makes a workspace ended {ended.state.value}: {ended.reason}")
        made = self._made(saga_id, tenant)
        self._doors.learn(made.owner, given.fields)
        return made

    def add(self, ref: EntityRef, values: Sequence[str]) -> list[EntityRef]:
        """Puts rows into the table of workspaces."""
        ids = sorted(str(uuid.uuid4()) for _ in values)
        made = [replace(ref, id=id_) for id_ in (*ids[1::2], *ids[::2])]
        with self._databases.transaction(database_of(WORKSPACE.service)) as connection:
            for number, (one, name) in enumerate(zip(made, values, strict=True), 1):
                row = {"id": one.id, "tenant": one.tenant.id, "owner": one.owner, "name": name, "number": number}
                connection.execute(_ADD, row)
        return made

    def read(self, ref: EntityRef, *, reader: EntityRef | None = None) -> Snapshot | None:
        """The workspace as its owner, or the owner of another one, sees it."""
        answer = self._ask(reader or ref, "GET", _path(ref))
        if answer.status_code not in {200, 404}:
            raise PlatformError(f"a read of workspace {ref.id} was answered {told(answer)}")
        return _snapshot(answer.json()) if answer.status_code == 200 else None

    def update(
        self, ref: EntityRef, value: str, *, expected_version: int, key: str | None = None, correlation_id: str = ""
    ) -> Update:
        """Renames the workspace."""
        body = {"name": value, "expected_version": expected_version}
        sent = {"Idempotency-Key": key, CORRELATION: correlation_id}
        headers = {name: value for name, value in sent.items() if value}
        try:
            answer = self._ask(ref, "PATCH", _path(ref), json=body, headers=headers)
        except PlatformError as error:
            return Update(UpdateOutcome.UNKNOWN, reason=str(error))
        match answer.status_code:
            case 200:
                return Update(UpdateOutcome.DONE, _snapshot(answer.json()))
            case 409:
                return Update(UpdateOutcome.CONFLICT, reason=told(answer), error=error_in(answer))
            case status if status >= 500:
                return Update(UpdateOutcome.UNKNOWN, reason=told(answer))
        raise PlatformError(f"a renaming of workspace {ref.id} was answered {told(answer)}")

    def truth(self, ref: EntityRef) -> Snapshot | None:
        """The workspace as the primary has it."""
        row = self._databases.one(database_of(WORKSPACE.service), _TRUTH, {"id": ref.id})
        return _snapshot(row) if row else None

    def stream(self, ref: EntityRef) -> tuple[StoredEvent, ...]:
        """The workspace's events."""
        rows = self._databases.all(database_of(WORKSPACE.service), _STREAM, {"id": ref.id})
        texts = [{**row, "event_id": str(row["event_id"])} for row in rows]
        return tuple(StoredEvent(service=WORKSPACE.service, **row) for row in texts)

    def hold_updates(self) -> AbstractContextManager[EffectBlock]:
        """Holds renamings when they write to the outbox; the relay's own updates of it do not count."""
        database, table = database_of(WORKSPACE.service), written_table(WORKSPACE.service, Write.OUTBOX)
        ours = "INSERT|(UPDATE|DELETE FROM) workspaces"
        return blocks.hold_writes(self._databases, database, table, statement=ours)

    @contextmanager
    def passing(self, tenant: Tenant) -> Iterator[EntityRef]:
        """The workspace of a registration that goes on after the block and fails at its last step."""
        given = self._registration.make_input(tenant)
        with self._registration.refuse("send_welcome_mail", given):
            with self._registration.block_effect("send_welcome_mail") as block:
                saga_id = self._registration.start(given)
                block.wait_blocked(timeout_s=MADE_TIMEOUT_S)
                made = self._made(saga_id, tenant)
                self._doors.learn(made.owner, given.fields)
                yield made
            self._registration.wait_terminal(saga_id, timeout_s=MADE_TIMEOUT_S)

    @contextmanager
    def coming(self, tenant: Tenant) -> Iterator[EntityRef]:
        """The workspace of a registration that is held where it makes it; its id follows from the registration's."""
        with self._registration.block_effect("create_workspace") as block:
            given = self._registration.make_input(tenant)
            saga_id = self._registration.start(given)
            block.wait_blocked(timeout_s=MADE_TIMEOUT_S)
            user = self._registration.effect("create_credentials", saga_id)
            ref = EntityRef(str(uuid.uuid5(uuid.UUID(saga_id), "workspace")), tenant, user.id if user else "")
            self._doors.learn(ref.owner, given.fields)
            yield ref
        self._registration.wait_terminal(saga_id, timeout_s=MADE_TIMEOUT_S)
        if self._made(saga_id, tenant) != ref:
            raise PlatformError(f"the workspace of registration {saga_id} is not {ref.id}, as it should be")

    def replica_held(self) -> AbstractContextManager[None]:
        """Pauses the read replica."""
        return blocks.hold_replica(self._databases, database_of(WORKSPACE.service))

    def behind_the_gateway(self, node: str = "") -> Workspaces:
        """The same, in the gateway's place."""
        return Workspaces(self._registration, self._databases, self._doors, node=node or WORKSPACE.service)

    def _made(self, saga_id: str, tenant: Tenant) -> EntityRef:
        user = self._registration.effect("create_credentials", saga_id)
        made = self._registration.effect("create_workspace", saga_id)
        if user is None or made is None:
            raise PlatformError(f"registration {saga_id} has made no {'user' if user is None else 'workspace'}")
        return EntityRef(made.id, tenant, user.id)


def _path(ref: EntityRef) -> str:
    return f"{WORKSPACES_PATH}/{ref.id}"


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    return Snapshot(str(row["id"]), row["version"], row["name"])
