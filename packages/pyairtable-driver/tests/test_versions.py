from __future__ import annotations

from airproof_pyairtable.manifest import MANIFEST, REGISTRATION
from airproof_pyairtable.versions import FIRST


def test_it_is_known_of_every_message_what_the_first_version_sent() -> None:
    asked = {f"{step.name}.{action}" for step in REGISTRATION.steps for action in ("execute", "compensate")}
    told = {step.event for step in REGISTRATION.steps}
    told |= {step.compensation.event for step in REGISTRATION.compensable if step.compensation}
    told |= {event for entity in MANIFEST.entities for event in (entity.created, entity.changed, entity.removed)}
    told |= {REGISTRATION.started, REGISTRATION.completed, REGISTRATION.failed, REGISTRATION.compensated}
    assert asked | told <= {*FIRST}
