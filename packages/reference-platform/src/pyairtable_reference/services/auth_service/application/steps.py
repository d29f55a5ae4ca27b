"""What auth-service does in sagas: create credentials, and remove them again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid5

from pyairtable_reference.kit.event_store import NEW, Fact
from pyairtable_reference.kit.participant import Answer, Done, Refused, StepHandlers, cause_of
from pyairtable_reference.kit.tenancy import Removal
from pyairtable_reference.services.auth_service.adapters.credentials import Credentials
from pyairtable_reference.services.auth_service.adapters.schema import credentials
from pyairtable_reference.services.auth_service.domain.credential import Credential

if TYPE_CHECKING:
    from pyairtable_reference.kit.envelope import Command
    from pyairtable_reference.kit.unit_of_work import UnitOfWork

SERVICE = "auth-service"
EMAIL_TAKEN = "email-taken"


async def create_credentials(work: UnitOfWork, command: Command) -> Answer:
    """Takes the e-mail address and lets its owner log in."""
    credential = Credential(
        id=uuid5(command.saga_id, "user"),
        tenant_id=command.tenant_id,
        saga_id=command.saga_id,
        email=command.payload["email"],
        password_hash=command.payload["password_hash"],
    )
    if not await Credentials(work.connection).add(credential):
        return Refused(EMAIL_TAKEN)
    fact = Fact("credential.created", {"user_id": str(credential.id), "email": credential.email})
    cause = cause_of(command, SERVICE)
    await work.events.append(cause, "credential", str(credential.id), [fact], expected_version=NEW)
    return Done({"user_id": str(credential.id)})


remove_credentials = Removal(
    SERVICE, credentials, "credential", "credential.removed", lambda row: {"user_id": str(row.id), "email": row.email}
)

STEPS = {"create_credentials": StepHandlers(create_credentials, remove_credentials)}
