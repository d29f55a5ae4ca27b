"""Workspaces over HTTP, on a real database and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from pyairtable_reference.kit.envelope import Action, Event, Metadata, Record
from pyairtable_reference.kit.runtime import Runtime
from pyairtable_reference.kit.schema import domain_events
from pyairtable_reference.kit.service_auth import HEADER, issue_token
from pyairtable_reference.kit.settings import Settings
from pyairtable_reference.services.registry import app_of, service
from pyairtable_reference.services.workspace_service.application.directory import Directory
from pyairtable_reference.services.workspace_service.application.invalidation import Invalidation
from pyairtable_reference.services.workspace_service.application.steps import STEPS

from .test_envelope import as_record, make_command

SECRET = "s" * 40
SERVICE = "workspace-service"


class Office:
    """workspace-service with a database and Redis, and one workspace."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime = runtime
        self.client = client
        self.tenant, self.owner = f"t{uuid4().hex}", uuid4()
        self.saga_id = uuid4()
        self.id = ""

    async def open(self) -> None:
        payload = {"owner_id": str(self.owner), "name": "Home"}
        command = make_command(tenant_id=self.tenant, saga_id=self.saga_id, payload=payload)
        async with self.runtime.units_of_work.begin() as work:
            done: Any = await STEPS["create_workspace"].execute(work, command)
        self.id = done.result["workspace_id"]

    async def remove(self) -> None:
        undo = STEPS["create_workspace"].compensate
        assert undo
        command = make_command(tenant_id=self.tenant, saga_id=self.saga_id, action=Action.COMPENSATE)
        async with self.runtime.units_of_work.begin() as work:
            await undo(work, command)

    async def ask(self, method: str, *, user: UUID | None = None, tenant: str = "", **more: Any) -> httpx.Response:
        headers = {
            HEADER: issue_token(SECRET, "api-gateway", SERVICE),
            "X-User-ID": str(user or self.owner),
            "X-Tenant-ID": tenant or self.tenant,
            **more.pop("headers", {}),
        }
        return await self.client.request(method, f"/api/v1/workspaces/{self.id}", headers=headers, **more)

    async def rename(self, name: str, expected_version: Any, **more: Any) -> httpx.Response:
        return await self.ask("PATCH", json={"name": name, "expected_version": expected_version}, **more)

    async def stream(self) -> list[tuple[str, int]]:
        columns = select(domain_events.c.event_type, domain_events.c.version).order_by(domain_events.c.position)
        async with self.runtime.units_of_work.begin() as work:
            rows = await work.connection.execute(columns.where(domain_events.c.aggregate_id == self.id))
            return [(row.event_type, row.version) for row in rows]


@pytest.fixture
def in_office(workspaces_url: str, redis_url: str) -> Callable[[Callable[[Office], Awaitable[None]]], None]:
    environment = {
        "SERVICE_NAME": SERVICE,
        "PORT": "1",
        "DATABASE_URL": workspaces_url,
        "REDIS_URL": redis_url,
        "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "SERVICE_SECRET": SECRET,
        "ADMIN_KEY": "operator",
    }

    async def play(scenario: Callable[[Office], Awaitable[None]]) -> None:
        app = app_of(SERVICE)
        app.state.runtime = runtime = Runtime(service(SERVICE), Settings.from_environment(environment))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            office = Office(runtime, client)
            await office.open()
            await scenario(office)
        await runtime.stop()

    return lambda scenario: asyncio.run(play(scenario))


InOffice = Callable[[Callable[[Office], Awaitable[None]]], None]


def test_a_new_workspace_is_at_version_1(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        answer = await office.ask("GET")
        told = {"id": office.id, "tenant_id": office.tenant, "owner_id": str(office.owner), "name": "Home"}
        assert (answer.status_code, answer.json()) == (200, {**told, "version": 1})

    in_office(scenario)


def test_a_renaming_makes_the_next_version_and_an_event(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        answer = await office.rename("Away", 1)
        assert (answer.status_code, answer.json()["name"], answer.json()["version"]) == (200, "Away", 2)
        assert await office.stream() == [("workspace.created", 1), ("workspace.renamed", 2)]
        assert (await office.ask("GET")).json() == answer.json()

    in_office(scenario)


@pytest.mark.parametrize("version", [2, 2**31 - 2])
def test_another_version_than_expected_is_a_conflict(in_office: InOffice, version: int) -> None:
    async def scenario(office: Office) -> None:
        answer = await office.rename("Away", version)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version-conflict")
        assert await office.stream() == [("workspace.created", 1)]

    in_office(scenario)


def test_of_many_at_one_version_one_wins(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        answers = await asyncio.gather(*(office.rename(f"Name {number}", 1) for number in range(6)))
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
        assert await office.stream() == [("workspace.created", 1), ("workspace.renamed", 2)]
        winner = next(answer.json() for answer in answers if answer.status_code == 200)
        assert (await office.ask("GET")).json() == winner

    in_office(scenario)


def test_the_same_request_is_done_once(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        key = {"Idempotency-Key": "k1"}
        first = await office.rename("Away", 1, headers=key)
        await office.rename("Back", 2)
        again = await office.rename("Away", 1, headers=key)
        assert (again.status_code, again.json()) == (200, first.json())
        assert (await office.rename("Elsewhere", 1, headers=key)).status_code == 409
        assert (await office.rename("Away", 1, headers={"Idempotency-Key": "k2"})).status_code == 409
        assert len(await office.stream()) == 3

    in_office(scenario)


@pytest.mark.parametrize("name", ["Away", "Elsewhere"])
def test_a_key_is_good_for_no_other_request(in_office: InOffice, name: str) -> None:
    async def scenario(office: Office) -> None:
        key = {"Idempotency-Key": "k1"}
        first = await office.rename("Away", 1, headers=key)
        other = await office.rename(name, 2, headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency-key-reused")
        assert (await office.rename("Away", 1, headers=key)).json() == first.json()
        assert len(await office.stream()) == 2

    in_office(scenario)


def test_nobody_else_sees_or_renames_a_workspace(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        await office.ask("GET")
        for stranger in ({"user": uuid4()}, {"tenant": f"{office.tenant}-other"}):
            assert (await office.ask("GET", **stranger)).status_code == 404
            assert (await office.rename("Mine", 1, **stranger)).status_code == 404
        assert (await office.ask("GET")).json()["name"] == "Home"

    in_office(scenario)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "", "expected_version": 1},
        {"name": "a\nb", "expected_version": 1},
        {"name": "x", "expected_version": 0},
        {"name": "x", "expected_version": 2**31},
        {"name": "x", "expected_version": 1, "owner_id": "me"},
    ],
)
def test_wrong_requests_are_refused(in_office: InOffice, body: dict[str, Any]) -> None:
    async def scenario(office: Office) -> None:
        assert (await office.ask("PATCH", json=body)).status_code == 422

    in_office(scenario)


def test_a_removal_follows_what_was_renamed(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        await office.rename("Away", 1)
        await office.remove()
        assert await office.stream() == [("workspace.created", 1), ("workspace.renamed", 2), ("workspace.removed", 3)]
        assert (await office.rename("Back", 2)).status_code == 404

    in_office(scenario)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE domain_events SET tenant_id = 'other'", "DELETE FROM domain_events", "TRUNCATE domain_events"],
)
def test_nothing_that_is_stored_in_the_event_log_is_changed_or_removed(in_office: InOffice, statement: str) -> None:
    async def scenario(office: Office) -> None:
        with pytest.raises(DBAPIError, match="append-only"):
            async with office.runtime.units_of_work.begin() as work:
                await work.connection.exec_driver_sql(statement)
        assert await office.stream() == [("workspace.created", 1)]

    in_office(scenario)


def test_the_event_of_a_change_makes_the_next_read_a_fresh_one(in_office: InOffice) -> None:
    async def scenario(office: Office) -> None:
        directory: Directory = office.runtime.application
        invalidation = Invalidation(directory._cache)
        await office.ask("GET")
        await office.rename("Away", 1)
        assert (await office.ask("GET")).json()["name"] == "Home"
        await invalidation.handle(_record(office, "workspace.created", 1))
        assert (await office.ask("GET")).json()["name"] == "Home"
        await invalidation.handle(_record(office, "workspace.renamed", 2))
        assert (await office.ask("GET")).json()["name"] == "Away"
        await office.remove()
        await invalidation.handle(_record(office, "workspace.removed", 3))
        assert (await office.ask("GET")).status_code == 404

    in_office(scenario)


def _record(office: Office, event_type: str, version: int) -> Record:
    event = Event(
        event_id=uuid4(),
        event_type=event_type,
        aggregate_id=office.id,
        aggregate_type="workspace",
        version=version,
        timestamp=datetime.now(UTC),
        tenant_id=office.tenant,
        payload={},
        metadata=Metadata(correlation_id="c", causation_id="x", source=SERVICE),
    )
    return as_record(event.message())
