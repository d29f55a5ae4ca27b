"""workspace-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.database import open_engine
from pyairtable_reference.kit.envelope import commands_topic, events_topic
from pyairtable_reference.kit.http import tenancy
from pyairtable_reference.kit.participant import Participant
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.workspace_service.adapters.cache import open_cache
from pyairtable_reference.services.workspace_service.application.directory import Directory
from pyairtable_reference.services.workspace_service.application.invalidation import Invalidation
from pyairtable_reference.services.workspace_service.application.steps import SERVICE, STEPS
from pyairtable_reference.services.workspace_service.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together. Its lists are read from the replica, or from the primary where there is none.

    Invalidations have a consumer group of their own: while Redis is away they wait, and sagas go on.
    """
    settings = runtime.settings
    url = settings.database_read_url or settings.require("database_url")
    replica = open_engine(url, f"{settings.instance}-read", pool_size=3)
    cache = open_cache(settings.require("redis_url"))
    participant = Participant(runtime.units_of_work, SERVICE, STEPS)
    return Parts(
        Directory(runtime.units_of_work, replica, cache),
        {commands_topic(SERVICE): participant.handle},
        apart={"cache": {events_topic("workspace"): Invalidation(cache).handle}},
        closing=(replica.dispose, cache.close),
    )


WORKSPACE_SERVICE = ServiceDefinition(SERVICE, (router, tenancy.limits, tenancy.holds), assemble)
