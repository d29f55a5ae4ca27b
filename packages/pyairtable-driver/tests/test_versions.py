from __future__ import annotations

from airproof_pyairtable.manifest import MANIFEST, REGISTRATION
from airproof_pyairtable.records import _KINDS
from airproof_pyairtable.versions import FIRST


def test_the_first_version_sent_all_that_messages_must_have_and_that_events_are_declared_to_tell() -> None:
    told = {name for step in REGISTRATION.steps for name in step.tells}
    told |= {name for step in REGISTRATION.compensable if step.compensation for name in step.compensation.tells}
    told |= {name for entity in MANIFEST.entities for name in entity.tells} | {*REGISTRATION.tells}
    assert told | {name for names in _KINDS.values() for name in names} <= {*FIRST}
