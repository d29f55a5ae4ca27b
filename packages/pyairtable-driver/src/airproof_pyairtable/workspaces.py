"""Workspaces of a cell, as their owners use them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import jwt

from airproof.errors import PlatformError
from airproof.platform.driver import EffectBlock, Tenant, Write
from airproof.platform.entities import EntityRef
from airproof.platform.manifest import Entity
from airproof.platform.observation import SagaState, Snapshot, StoredEvent, Update, UpdateOutcome
from airproof_pyairtable import blocks
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.http import Http, told
from airproof_pyairtable.manifest import GATEWAY, WORKSPACE, database_of, written_table
from airproof_pyairtable.registration import Registration

MADE_TIMEOUT_S = 20.0
TOKEN_LIFETIME_S = 60
_TRUTH = "SELECT id, version, name FROM workspaces WHERE id = %(id)s"
_STREAM = """
SELECT event_id, event_type, aggregate_id, version, tenant_id, correlation_id, causation_id FROM domain_events
WHERE aggregate_id = %(id)s ORDER BY position
"""


class Doors:
    """The two ways to workspace-service: with a session through the gateway, or in the gateway's place.

    Args:
        secrets: of the cell.
    """

    def __init__(self, http: Http, secrets: Mapping[str, str]) -> None:
        self._http = http
        self._secrets = secrets
        self._lock = threading.Lock()
        self._credentials: dict[str, tuple[str, str]] = {}
        self._tokens: dict[str, str] = {}

    def learn(self, user_id: str, email: str, password: str) -> None:
        """Remembers how a user logs in."""
        with self._lock:
            self._credentials[user_id] = email, password

    def through_the_gateway(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks with the user's session; with a new one where the platform has forgotten it."""
        answer = self._with_session(user, method, path, **more)
        if answer.status_code == 401:
            with self._lock:
                self._tokens.pop(user.owner, None)
            answer = self._with_session(user, method, path, **more)
        return answer

    def in_its_place(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        """Asks with the token and the headers that the gateway would send."""
        now = int(time.time())
        claims = {"iss": GATEWAY, "aud": WORKSPACE.service, "iat": now, "exp": now + TOKEN_LIFETIME_S}
        token = jwt.encode({**claims, "jti": str(uuid.uuid4())}, self._secrets["service_secret"], algorithm="HS256")
        identity = {"X-Service-Token": token, "X-User-ID": user.owner, "X-Tenant-ID": user.tenant.id}
        headers = {**more.pop("headers", {}), **identity}
        return self._http.ask(method, WORKSPACE.service, path, headers=headers, **more)

    def _with_session(self, user: EntityRef, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**more.pop("headers", {}), "Authorization": f"Bearer {self._token(user)}"}
        return self._http.ask(method, GATEWAY, path, headers=headers, **more)

    def _token(self, user: EntityRef) -> str:
        with self._lock:
            if user.owner not in self._tokens:
                self._tokens[user.owner] = self._http.log_in(*self._credentials[user.owner])
            return self._tokens[user.owner]


class Workspaces:
    """See `airproof.platform.entities.EntityAccess`."""

    entity: Entity = WORKSPACE

    def __init__(
        self, registration: Registration, databases: Databases, doors: Doors, *, with_gateway: bool = True
    ) -> None:
        self._registration = registration
        self._databases = databases
        self._doors = doors
        self._ask = doors.through_the_gateway if with_gateway else doors.in_its_place

    def create(self, tenant: Tenant) -> EntityRef:
        """Registers a user of the tenant, who gets a workspace."""
        given = self._registration.make_input(tenant)
        saga_id = self._registration.start(given)
        ended = self._registration.wait_terminal(saga_id, timeout_s=MADE_TIMEOUT_S)
        if ended.state is not SagaState.COMPLETED:
            raise PlatformError(f"the registration that makes a workspace ended {ended.state.value}: {ended.reason}")
        made = self._made(saga_id, tenant)
        self._doors.learn(made.owner, given.subject, given.fields["password"])
        return made

    def read(self, ref: EntityRef, *, reader: EntityRef | None = None) -> Snapshot | None:
        """The workspace as its owner, or the owner of another one, sees it."""
        answer = self._ask(reader or ref, "GET", _path(ref))
        if answer.status_code not in {200, 404}:
            raise PlatformError(f"a read of workspace {ref.id} was answered {told(answer)}")
        return _snapshot(answer.json()) if answer.status_code == 200 else None

    def update(self, ref: EntityRef, value: str, *, expected_version: int, key: str | None = None) -> Update:
        """Renames the workspace."""
        body = {"name": value, "expected_version": expected_version}
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = self._ask(ref, "PATCH", _path(ref), json=body, headers=headers)
        except PlatformError as error:
            return Update(UpdateOutcome.UNKNOWN, reason=str(error))
        match answer.status_code:
            case 200:
                return Update(UpdateOutcome.DONE, _snapshot(answer.json()))
            case 409:
                return Update(UpdateOutcome.CONFLICT, reason=told(answer))
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
        return blocks.hold_writes(self._databases, database, table, statement="INSERT|UPDATE workspaces")

    @contextmanager
    def passing(self, tenant: Tenant) -> Iterator[EntityRef]:
        """The workspace of a registration that goes on after the block and fails at a later step."""
        given = self._registration.make_input(tenant)
        with self._registration.refuse("send_welcome_mail", given):
            with self._registration.block_effect("assign_permissions") as block:
                saga_id = self._registration.start(given)
                block.wait_blocked(timeout_s=MADE_TIMEOUT_S)
                yield self._made(saga_id, tenant)
            self._registration.wait_terminal(saga_id, timeout_s=MADE_TIMEOUT_S)

    def behind_the_gateway(self) -> Workspaces:
        """The same, in the gateway's place."""
        return Workspaces(self._registration, self._databases, self._doors, with_gateway=False)

    def _made(self, saga_id: str, tenant: Tenant) -> EntityRef:
        user = self._registration.effect("create_credentials", saga_id)
        made = self._registration.effect("create_workspace", saga_id)
        if user is None or made is None:
            raise PlatformError(f"registration {saga_id} has made no {'user' if user is None else 'workspace'}")
        return EntityRef(made.id, tenant, user.id)


def _path(ref: EntityRef) -> str:
    return f"/api/v1/workspaces/{ref.id}"


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    return Snapshot(str(row["id"]), row["version"], row["name"])
