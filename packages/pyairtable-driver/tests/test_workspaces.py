from __future__ import annotations

from typing import Any, cast

import httpx
import jwt
import pytest

from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.observation import Snapshot, UpdateOutcome
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import Http
from airproof_pyairtable.registration import Registration
from airproof_pyairtable.workspaces import Workspaces

SECRET = "s" * 40
REF = EntityRef("w1", Tenant("t1"), "u1")
SHOWN = {"id": "w1", "version": 2, "name": "Away", "tenant_id": "t1", "owner_id": "u1"}


class FakeHttp:
    """Answers what it is given, in turn, and remembers what it was asked; an answer of 0 is none."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.logins = 0

    def log_in(self, email: str, password: str) -> str:
        self.logins += 1
        return f"token-{self.logins}"

    def ask(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        self.asked.append((service, more["headers"]))
        status = self.answers.pop(0)
        if not status:
            raise PlatformError("not answered")
        return httpx.Response(status, json=SHOWN)


def make_workspaces(http: FakeHttp) -> Workspaces:
    doors = Doors(cast("Http", http), {"service_secret": SECRET}, lambda: pytest.fail("no test needs Redis"))
    doors.learn(REF.owner, {"email": "ann@t1.example", "password": "pw"})
    return Workspaces(cast("Registration", None), cast("Databases", None), doors)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, UpdateOutcome.DONE),
        (409, UpdateOutcome.CONFLICT),
        (500, UpdateOutcome.UNKNOWN),
        (503, UpdateOutcome.UNKNOWN),
        (0, UpdateOutcome.UNKNOWN),
    ],
)
def test_an_update_is_done_or_a_conflict_or_unknown(status: int, outcome: UpdateOutcome) -> None:
    update = make_workspaces(FakeHttp(status)).update(REF, "Away", expected_version=1)
    assert update.outcome is outcome
    assert (update.shown == Snapshot("w1", 2, "Away")) is (outcome is UpdateOutcome.DONE)


def test_an_update_that_is_refused_for_another_reason_is_an_error() -> None:
    with pytest.raises(PlatformError, match="422"):
        make_workspaces(FakeHttp(422)).update(REF, "", expected_version=1)


def test_a_read_shows_the_entity_or_nothing() -> None:
    workspaces = make_workspaces(FakeHttp(200, 404, 503))
    assert workspaces.read(REF) == Snapshot("w1", 2, "Away")
    assert workspaces.read(REF) is None
    with pytest.raises(PlatformError, match="503"):
        workspaces.read(REF)


def test_a_forgotten_session_is_replaced_once() -> None:
    http = FakeHttp(200, 401, 200)
    workspaces = make_workspaces(http)
    workspaces.read(REF)
    workspaces.read(REF)
    assert [headers["Authorization"] for _, headers in http.asked] == ["Bearer token-1"] * 2 + ["Bearer token-2"]


def test_behind_the_gateway_the_service_is_asked_as_the_gateway_asks() -> None:
    http = FakeHttp(200)
    make_workspaces(http).behind_the_gateway().read(REF)
    ((service, headers),) = http.asked
    claims = jwt.decode(headers["X-Service-Token"], SECRET, algorithms=["HS256"], audience=service)
    assert (service, claims["iss"]) == ("workspace-service", "api-gateway")
    assert (headers["X-User-ID"], headers["X-Tenant-ID"]) == ("u1", "t1")
    assert "Authorization" not in headers
