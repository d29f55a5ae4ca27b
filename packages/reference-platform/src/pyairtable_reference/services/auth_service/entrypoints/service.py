"""auth-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import commands_topic
from pyairtable_reference.kit.http import tenancy
from pyairtable_reference.kit.participant import Participant
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.kit.service_client import ServiceClient
from pyairtable_reference.services.auth_service.adapters.sessions import Sessions
from pyairtable_reference.services.auth_service.application.accounts import ORCHESTRATOR, Accounts
from pyairtable_reference.services.auth_service.application.steps import SERVICE, STEPS
from pyairtable_reference.services.auth_service.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    settings = runtime.settings
    settings.upstream(ORCHESTRATOR)
    client, sessions = ServiceClient(settings), Sessions(settings.require("redis_url"))
    accounts = Accounts(
        runtime.units_of_work,
        sessions,
        client,
        secret=settings.service_secret,
        scrypt_log2_n=settings.password_scrypt_log2_n,
    )
    participant = Participant(runtime.units_of_work, SERVICE, STEPS)
    return Parts(accounts, {commands_topic(SERVICE): participant.handle}, closing=(client.close, sessions.close))


AUTH_SERVICE = ServiceDefinition(SERVICE, (router, tenancy.holds), assemble)
