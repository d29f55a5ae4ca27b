"""How soon the events of an entity are told, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.wire import applied
from airproof.platform.observation import MessageKind, UpdateOutcome
from airproof.waiting import wait_until
from airproof.wire import Wire, kafka, on, postgres
from airproof_e2e.event_sourcing.stream import FIRST, WAIT_S, Stream

TRIES, SOON_S, LOOKS_WITHIN_S = 3, 0.5, 2.0


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "OUT-2")
def test_a_change_is_told_as_soon_as_the_one_before(stream: Stream, wire: Wire) -> None:
    """A change that is made while the one before is being told is told next, at once, and not at some later look."""
    del wire
    _demand_told_soon(stream, _told_after_another)


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "OUT-2")
def test_a_change_is_told_at_once_though_its_service_has_just_looked(stream: Stream, wire: Wire) -> None:
    """A change that is made while its service looks for what to tell, and finds nothing, is told at once."""
    del wire
    _demand_told_soon(stream, _told_after_a_look)


@pytest.mark.destructive
@pytest.mark.covers("ES-4", "OUT-2")
def test_changes_are_told_in_the_order_of_their_versions(stream: Stream, wire: Wire) -> None:
    """Of two changes that wait to be told the later one began first: they are told in the order of their versions."""
    del wire
    service, saga = stream.access.entity.service, stream.cell.platform.manifest.sagas[0].name
    telling = on(service, Role.KAFKA.value).when(kafka.produce(containing=stream.ref.id)).times(1).hold()
    looking = on(service, Role.POSTGRES_PRIMARY.value).when(postgres.query(containing=stream.ref.id)).times(1).hold()
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer, applied(stream.cell, telling) as told:
        _change(stream)
        told.wait_until_held(WAIT_S)
        with applied(stream.cell, looking) as began:
            later = writer.submit(stream.update, "later", FIRST + 2)
            began.wait_until_held(WAIT_S)
            _change(stream)
            began.release()
            stream.demand(UpdateOutcome.DONE, later.result(WAIT_S))
    _wait_told(stream, WAIT_S)
    bus = stream.cell.platform.sagas(saga).observe(stream.ref.tenant).bus
    events = [one for one in bus if one.kind is MessageKind.EVENT and one.aggregate_id == stream.ref.id]
    versions = list(dict.fromkeys(one.version for one in events))
    if versions != sorted(versions):
        promise = "the events of an aggregate arrive in the order of their versions"
        stream.anomalies.append(Anomaly("OUTBOX", "reordered", promise, str(sorted(versions)), str(versions)))
    stream.judge()


def _demand_told_soon(stream: Stream, told_soon: Callable[[Stream], bool]) -> None:
    for _ in range(TRIES):
        _wait_told(stream, WAIT_S)
        if told_soon(stream):
            break
    else:
        promise = "what is to be told is told as soon as it can be, and not when somebody looks for it the next time"
        expected, seen = f"within {SOON_S:g} s, in one of {TRIES} tries", "later, each time"
        stream.anomalies.append(Anomaly("OUTBOX", "told-late", promise, expected, seen, (f"key {stream.ref.id}",)))
    stream.judge()


def _told_after_another(stream: Stream) -> bool:
    """Whether a second change is told soon after a first one, which the broker gets when both are made."""
    telling = kafka.produce(containing=stream.ref.id)
    with applied(stream.cell, on(stream.access.entity.service, Role.KAFKA.value).when(telling).times(1).hold()) as held:
        for _ in range(2):
            _change(stream)
            held.wait_until_held(WAIT_S)
        held.release()
        return _all_told(stream)


def _told_after_a_look(stream: Stream) -> bool:
    """Whether a change is told soon that is made when its service is told that there is nothing it looks for.

    One that never looks is told by others.
    """
    looks = on(stream.access.entity.service, Role.POSTGRES_PRIMARY.value).when(postgres.query()).times(1).after()
    with suppress(WaitTimeout), applied(stream.cell, looks.hold().preventable()) as held:
        held.wait_until_held(LOOKS_WITHIN_S)
        _change(stream)
        held.release()
        return _all_told(stream)
    _change(stream)
    return _all_told(stream)


def _change(stream: Stream) -> None:
    version = FIRST + len(stream.attempts)
    stream.demand(UpdateOutcome.DONE, stream.update(f"changed {version}", version))


def _all_told(stream: Stream) -> bool:
    with suppress(WaitTimeout):
        _wait_told(stream, SOON_S)
        return True
    return False


def _wait_told(stream: Stream, timeout_s: float) -> None:
    service, outbox = stream.access.entity.service, stream.cell.platform.outbox
    told = f"{service} to have told all that has changed"
    wait_until(lambda: not outbox.held_back(service, stream.ref.tenant), timeout_s=timeout_s, describe=told)
