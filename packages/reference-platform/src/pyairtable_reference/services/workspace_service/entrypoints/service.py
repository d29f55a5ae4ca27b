"""workspace-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.database import open_engine
from pyairtable_reference.kit.envelope import commands_topic
from pyairtable_reference.kit.http import tenancy
from pyairtable_reference.kit.participant import Participant
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.workspace_service.application.steps import SERVICE, STEPS
from pyairtable_reference.services.workspace_service.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together. Its lists are read from the replica, or from the primary where there is none."""
    settings = runtime.settings
    url = settings.database_read_url or settings.require("database_url")
    replica = open_engine(url, f"{settings.instance}-read", pool_size=3)
    participant = Participant(runtime.units_of_work, SERVICE, STEPS)
    return Parts(replica, {commands_topic(SERVICE): participant.handle}, closing=(replica.dispose,))


WORKSPACE_SERVICE = ServiceDefinition(SERVICE, (router, tenancy.limits, tenancy.holds), assemble)
