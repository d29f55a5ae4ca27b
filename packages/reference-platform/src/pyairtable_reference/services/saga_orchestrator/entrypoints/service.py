"""saga-orchestrator, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import REPLIES
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.kit.saga.orchestrator import Orchestrator
from pyairtable_reference.services.saga_orchestrator.domain.registration import USER_REGISTRATION
from pyairtable_reference.services.saga_orchestrator.entrypoints.http import router

SERVICE = "saga-orchestrator"


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    said = runtime.settings
    orchestrator = Orchestrator(
        runtime.units_of_work, SERVICE, [USER_REGISTRATION], resend_s=said.saga_resend_s, retry_s=said.saga_retry_s
    )
    return Parts(orchestrator, {REPLIES: orchestrator.on_reply}, {"timers": orchestrator.run_timers})


SAGA_ORCHESTRATOR = ServiceDefinition(SERVICE, (router,), assemble)
