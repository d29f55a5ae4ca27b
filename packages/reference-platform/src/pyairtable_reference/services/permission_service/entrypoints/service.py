"""permission-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import commands_topic
from pyairtable_reference.kit.http import tenancy
from pyairtable_reference.kit.participant import Participant
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.permission_service.application.steps import SERVICE, STEPS
from pyairtable_reference.services.permission_service.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    participant = Participant(runtime.units_of_work, SERVICE, STEPS)
    return Parts(None, {commands_topic(SERVICE): participant.handle})


PERMISSION_SERVICE = ServiceDefinition(SERVICE, (router, tenancy.limits, tenancy.holds), assemble)
