"""What user-service does in sagas, and what it learns from other services' events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from pyairtable_reference.kit.event_store import NEW, Fact
from pyairtable_reference.kit.participant import Answer, Done, Refused, StepHandlers, cause_of
from pyairtable_reference.kit.tenancy import Removal, is_full
from pyairtable_reference.services.user_service.adapters.profiles import Profiles
from pyairtable_reference.services.user_service.adapters.schema import profiles
from pyairtable_reference.services.user_service.domain.profile import DEFAULT_SEATS, Profile

if TYPE_CHECKING:
    from pyairtable_reference.kit.envelope import Command, Event
    from pyairtable_reference.kit.unit_of_work import UnitOfWork

SERVICE = "user-service"
SEAT_LIMIT = "seat-limit"


async def create_profile(work: UnitOfWork, command: Command) -> Answer:
    """Gives the user a seat."""
    if await is_full(work, profiles, command.tenant_id, DEFAULT_SEATS):
        return Refused(SEAT_LIMIT)
    told = command.payload
    profile = Profile(
        id=UUID(told["user_id"]),
        tenant_id=command.tenant_id,
        saga_id=command.saga_id,
        email=told["email"],
        first_name=told["first_name"],
        last_name=told["last_name"],
    )
    await Profiles(work.connection).add(profile)
    fact = Fact("user.created", {name: told[name] for name in ("user_id", "email", "first_name", "last_name")})
    await work.events.append(cause_of(command, SERVICE), "user", str(profile.id), [fact], expected_version=NEW)
    return Done()


async def count_workspace(change: int, work: UnitOfWork, event: Event) -> None:
    """Keeps the number of the owner's workspaces."""
    await Profiles(work.connection).count_workspaces(event.tenant_id, UUID(event.payload["owner_id"]), change)


remove_profile = Removal(
    SERVICE, profiles, "user", "user.removed", lambda row: {"user_id": str(row.id), "email": row.email}
)

STEPS = {"create_profile": StepHandlers(create_profile, remove_profile)}
EVENTS = {
    "workspace.created": partial(count_workspace, 1),
    "workspace.renamed": None,
    "workspace.removed": partial(count_workspace, -1),
}
