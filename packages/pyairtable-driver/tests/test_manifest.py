from __future__ import annotations

from airproof.platform.driver import Write
from airproof_pyairtable.manifest import MANIFEST, REGISTRATION, WORKSPACE
from airproof_pyairtable.places import CONSUMPTION, EFFECTS, EVENT_TOPICS, PARTICIPANTS, TOPICS, written_table


def test_every_service_of_the_saga_is_declared() -> None:
    names = {service.name for service in MANIFEST.services}
    assert {step.participant for step in REGISTRATION.steps} | {
        REGISTRATION.orchestrator,
        REGISTRATION.entrance,
    } <= names


def test_every_step_has_a_table_for_its_effect_in_its_participants_database() -> None:
    for step in REGISTRATION.steps:
        assert EFFECTS[step.effect].database == MANIFEST.service(step.participant).database


def test_every_event_has_a_topic() -> None:
    own = {
        event for step in REGISTRATION.steps for event in (step.event, step.compensation and step.compensation.event)
    }
    own |= {REGISTRATION.started, REGISTRATION.completed, REGISTRATION.failed, REGISTRATION.compensated}
    own |= {REGISTRATION.needs_attention, WORKSPACE.created, WORKSPACE.changed, WORKSPACE.removed}
    assert own - {None} == EVENT_TOPICS.keys()


def test_every_topic_that_is_consumed_exists() -> None:
    assert {topic for topics in CONSUMPTION.values() for topic in topics} <= {topic.name for topic in TOPICS}


def test_only_the_last_step_cannot_be_undone() -> None:
    assert [step.name for step in REGISTRATION.steps if not step.compensation] == [REGISTRATION.pivot]


def test_a_write_of_every_service_goes_to_one_table() -> None:
    for service in {*(step.participant for step in REGISTRATION.steps), REGISTRATION.orchestrator}:
        of_commands = set(Write) - {Write.EVENT_INBOX, Write.CLAIM, Write.MAIL_CLAIM}
        assert len({written_table(service, write) for write in of_commands}) == len(of_commands)


def test_what_invalidates_a_cache_is_an_event_of_its_entity() -> None:
    for cached in MANIFEST.caches:
        entity = MANIFEST.entity(cached.entity)
        assert set(cached.invalidated_by) == {entity.changed, entity.removed}


def test_what_is_closed_is_asked_for_under_one_name_each() -> None:
    assert len({route.name for route in MANIFEST.closed}) == len(MANIFEST.closed)
    assert {route.service for route in MANIFEST.closed} == {*PARTICIPANTS, REGISTRATION.orchestrator}
