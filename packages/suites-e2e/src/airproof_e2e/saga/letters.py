"""What scenarios demand of dead letters: that there is one for whatever is given up, of whom it was, and why."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from functools import partial

from airproof.checkers.outbox import PARKER
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import witness
from airproof.errors import WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.observation import BusMessage
from airproof_e2e.saga.stage import WAIT_S, Stage

SHOWS_ITSELF_S = 0.1


def demand_letters(stage: Stage, service: str, messages: Iterable[BusMessage], blames: str = "BUS") -> list[BusMessage]:
    """All of them lie among the dead letters in time, and say who gave them up; anomalies are noted.

    Who else has given one up, as it reads the same topic, has done so for itself.
    """
    until, letters = time.monotonic() + WAIT_S, []
    readers = {*(one.name for one in stage.platform.manifest.services), *keepers(stage)} - {service}
    for message in messages:
        wait, letter = partial(stage.platform.bus.wait_dead_letter, message.message_id, key=message.key), None
        try:
            letter = wait(timeout_s=max(until - time.monotonic(), SHOWS_ITSELF_S))
            if letter.headers.get(PARKER) in readers:
                letter = wait(by=service, timeout_s=max(until - time.monotonic(), SHOWS_ITSELF_S))
            letters.append(letter)
        except WaitTimeout as error:
            if not letter and message.message_id:
                stage.allowances[Tenant(message.tenant_id)].parked.discard(message.message_id)
            promise = "a message that a service cannot process is parked with its cause, not dropped nor tried for ever"
            expected, facts = f"{message.type} for {service} among the dead letters", witness([message])
            stage.anomalies.append(Anomaly(blames, "dropped", promise, expected, str(error), facts))
    others = [letter for letter in letters if letter.headers.get(PARKER) != service]
    if others:
        promise, seen = "a dead letter says which service made it one", others[0].headers.get(PARKER) or "none"
        stage.anomalies.append(Anomaly("OUTBOX", "wrong-parker", promise, service, seen, witness(others)))
    return letters


def keepers(stage: Stage) -> dict[str, str]:
    """As who services consume something apart, and which."""
    manifest = stage.platform.manifest
    return {one.keeper: manifest.entity(one.entity).service for one in manifest.caches if one.keeper}


def followers(stage: Stage, keeper: str) -> set[str]:
    """The services that follow the same events."""
    manifest = stage.platform.manifest
    events = {event for one in manifest.caches if one.keeper == keeper for event in one.invalidated_by}
    return {one.service for one in manifest.subscriptions if one.event in events}


def demand_causes(stage: Stage, service: str, causes: Collection[str]) -> None:
    """Of messages that are given up for different reasons not all say the same."""
    if len(causes) > 1 and len(set(causes)) == 1:
        promise, expected = "whoever looks after what was given up is told why", "not one cause for all mistakes"
        seen = f"{min(causes)!r} of all {len(causes)} of {service}"
        stage.anomalies.append(Anomaly("OUTBOX", "cause-untold", promise, expected, seen))
