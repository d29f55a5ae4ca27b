"""user-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import commands_topic, events_topic
from pyairtable_reference.kit.event_consumer import EventConsumer
from pyairtable_reference.kit.http import tenancy
from pyairtable_reference.kit.participant import Participant
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.user_service.application.steps import EVENTS, SERVICE, STEPS
from pyairtable_reference.services.user_service.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    participant = Participant(runtime.units_of_work, SERVICE, STEPS)
    followed = EventConsumer(runtime.units_of_work, SERVICE, EVENTS)
    return Parts(None, {commands_topic(SERVICE): participant.handle, events_topic("workspace"): followed.handle})


USER_SERVICE = ServiceDefinition(SERVICE, (router, tenancy.limits, tenancy.holds), assemble)
