from __future__ import annotations

import pytest

from airproof_pyairtable.manifest import ORCHESTRATOR, REGISTRATION
from airproof_pyairtable.places import PARTICIPANTS, commands_topic
from airproof_pyairtable.poison import encoded, forged_commands, poisons


@pytest.mark.parametrize("service", [*PARTICIPANTS, ORCHESTRATOR])
def test_every_service_gets_records_that_lack_something_or_have_it_twice_or_as_no_text(service: str) -> None:
    records = [encoded(message) for message in poisons(service, "t1")]
    assert any(key is None for key, _, _ in records)
    assert any(key == b"\xff\xfe" for key, _, _ in records)
    assert any(value is None for _, value, _ in records)
    assert any(("correlation-id", b"\xff\xfe") in headers for _, _, headers in records)
    assert any(len(dict(headers)) < len(headers) for _, _, headers in records)


@pytest.mark.parametrize("service", [*PARTICIPANTS, ORCHESTRATOR])
def test_every_poison_can_be_found_among_the_dead_letters(service: str) -> None:
    sent = [(message.message_id, encoded(message)) for message in poisons(service, "t1")]
    named = [(id_, dict(headers)) for id_, (_, _, headers) in sent if id_]
    nameless = [(key, dict(headers)) for id_, (key, _, headers) in sent if not id_]
    assert len({id_ for id_, _ in named}) == len(named)
    assert all(headers["message-id"] == id_.encode() for id_, headers in named)
    assert len({key for key, _ in nameless if key}) == len(nameless) > 1
    assert all("message-id" not in headers for _, headers in nameless)


def test_forged_commands_speak_of_the_other_tenant_in_head_or_body_and_of_the_saga_under_its_key() -> None:
    step = REGISTRATION.steps[0]
    forged = list(forged_commands("s1", step.name, "t1", "t2"))
    assert [one.type.rpartition(".")[2] for one in forged] == ["execute"] * 3 + ["compensate"] * 3
    assert all("t2" in {one.headers["tenant-id"], one.body["tenant_id"]} for one in forged)
    assert {(one.key, one.body["saga_id"], one.topic) for one in forged} == {
        ("s1", "s1", commands_topic(step.participant))
    }
