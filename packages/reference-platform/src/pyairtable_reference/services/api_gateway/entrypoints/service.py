"""api-gateway, declared."""

from __future__ import annotations

from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.kit.service_client import ServiceClient
from pyairtable_reference.services.api_gateway.domain.routes import UPSTREAMS
from pyairtable_reference.services.api_gateway.entrypoints.http import router


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    for service in UPSTREAMS:
        runtime.settings.upstream(service)
    client = ServiceClient(runtime.settings)
    return Parts(client, closing=(client.close,))


API_GATEWAY = ServiceDefinition("api-gateway", (router,), assemble, has_database=False)
