from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial

import pytest

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import WaitTimeout
from airproof.faults.process import killed
from airproof.faults.wire import applied
from airproof.platform.driver import EffectBlock
from airproof.platform.observation import Update, UpdateOutcome
from airproof.platform.requests import NO_PLAIN_TEXT
from airproof.waiting import wait_until
from airproof.wire import Wire, on, postgres
from airproof.wire.holding import Hold, outcome_of
from airproof_e2e.event_sourcing.stream import FIRST, WAIT_S, Stream

RIVALS = 4
WRITERS, UPDATES = 3, 4
LONG = 120
"""More events than are read of a stream at a time, or remembered of it."""
LOOKS = 4
"""More than an update has a look at its entity before it is refused."""


@pytest.mark.smoke
@pytest.mark.destructive
@pytest.mark.covers("ES-1", "ES-4")
def test_of_many_updates_at_one_version_one_is_done(stream: Stream) -> None:
    """Of many updates at one expected version, all in their transactions at once, one is done; the others conflict."""
    with ThreadPoolExecutor(RIVALS, thread_name_prefix="writer") as writers:
        with stream.access.hold_updates() as block:
            updating = [writers.submit(stream.update, f"of rival {number}", FIRST) for number in range(RIVALS)]
            everybody = f"{RIVALS} updates to wait for one that is held"
            with suppress(WaitTimeout):
                wait_until(lambda: block.waiting() >= RIVALS, timeout_s=WAIT_S, describe=everybody)
        first, *others = sorted(
            [one.result(WAIT_S) for one in updating], key=lambda one: one.outcome is not UpdateOutcome.DONE
        )
    stream.demand(UpdateOutcome.DONE, first)
    stream.demand(UpdateOutcome.CONFLICT, *others)
    stream.judge()


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "ES-4")
def test_of_two_that_have_seen_the_same_version_one_is_done(stream: Stream, wire: Wire) -> None:
    """Two updates have seen the same version and store their events one after the other: the second one conflicts."""
    service, wanted = stream.access.entity.service, ("of the first", "of the second")
    with ThreadPoolExecutor(len(wanted), thread_name_prefix="writer") as writers, ExitStack() as rules:
        updating, held = [], []
        for value in wanted:
            storing = postgres.statement(containing=[stream.ref.id, stream.access.entity.changed, value])
            rule = on(service, Role.POSTGRES_PRIMARY.value).when(storing).times(1).hold()
            held.append(rules.enter_context(applied(stream.cell, rule)))
            updating.append(writers.submit(stream.update, value, FIRST))
        for hold in held:
            hold.wait_until_held(WAIT_S)
        for hold, update, expected in zip(held, updating, (UpdateOutcome.DONE, UpdateOutcome.CONFLICT), strict=True):
            hold.release()
            stream.demand(expected, update.result(WAIT_S))
    stream.judge()


@pytest.mark.covers("ES-1", "ES-4")
def test_many_writers_lose_nothing(stream: Stream) -> None:
    """Writers who read, change and try again until they succeed make one gap-free stream, and no change is lost."""

    def write(writer: int) -> None:
        for number in range(UPDATES):
            version = FIRST
            # Whoever is refused was overtaken by another update, of which there are so many.
            for _ in range(WRITERS * UPDATES):
                update = stream.update(f"{number} of writer {writer}", version)
                if update.outcome is UpdateOutcome.DONE:
                    break
                truth = stream.access.truth(stream.ref)
                version = truth.version if truth else FIRST
            stream.demand(UpdateOutcome.DONE, update)

    with ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as writers:
        for done in [writers.submit(write, number) for number in range(WRITERS)]:
            done.result(WAIT_S)
    stream.judge()


@pytest.mark.covers("ES-1", "ES-4")
def test_who_has_not_seen_the_last_version_is_refused(stream: Stream) -> None:
    """An update at any version but the last one conflicts, past or to come, under whatever key."""
    key = f"{stream.ref.id + NO_PLAIN_TEXT:k<{stream.cell.platform.manifest.longest_key}}"
    done = stream.update("the first", FIRST, key=key), stream.update("the second", FIRST + 1)
    refused = [
        stream.update("too late", FIRST + 1),
        stream.update("the second", FIRST + 1),
        stream.update("another", FIRST, key=key),
        stream.update("the first", FIRST, key=f"{key[:-1]}l"),
        stream.update("the first", FIRST, key=key.upper()),
        stream.update("the first", FIRST),
        stream.update("too early", FIRST + 3),
        stream.update("much too early", FIRST + 1000, key=f"early-{stream.ref.id}"),
    ]
    stream.demand(UpdateOutcome.DONE, *done)
    stream.demand(UpdateOutcome.CONFLICT, *refused)
    stream.judge()


@pytest.mark.covers("ES-1")
def test_an_update_that_is_asked_for_again_is_answered_as_it_was_then(stream: Stream) -> None:
    """An update that is asked for again is answered as it was; one to what there is already is an update like any."""
    key = f"key-{stream.ref.id}"
    done = [
        stream.update("the first", FIRST, key=key),
        stream.update("the second", FIRST + 1),
        stream.update("the first", FIRST, key=key),
        stream.update("the second", FIRST + 2, key=f"alike-{stream.ref.id}"),
        stream.update("the last", FIRST + 3),
    ]
    stream.demand(UpdateOutcome.DONE, *done)
    stream.judge()


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "ES-4")
def test_an_update_that_is_asked_for_twice_at_once_is_done_once(stream: Stream) -> None:
    """An update that is asked for again while it is being done is done once, and both are answered so."""
    with ThreadPoolExecutor(2, thread_name_prefix="writer") as writers, stream.access.hold_updates() as block:
        ask = partial(stream.update, "asked twice", FIRST, key=f"key-{stream.ref.id}")
        asked = [writers.submit(ask)]
        block.wait_blocked(timeout_s=WAIT_S)
        asked.append(writers.submit(ask))
        meets = "the second to wait for the first, or to be answered"
        wait_until(lambda: block.waiting() > 1 or asked[1].done(), timeout_s=WAIT_S, describe=meets)
        block.release()
        stream.demand(UpdateOutcome.DONE, *(one.result(WAIT_S) for one in asked))
    stream.judge()


@pytest.mark.covers("ES-1", "ES-4")
def test_a_key_is_good_for_no_other_update(stream: Stream) -> None:
    """An update under the key of an earlier one is refused, however long ago that was; of another entity it is done."""
    key = f"key-{stream.ref.id}"
    elsewhere = Stream(stream.cell, stream.access, stream.access.create(stream.ref.tenant))
    done = [stream.update("the first", FIRST, key=key)]
    refused = [stream.update(value, FIRST + 1, key=key) for value in ("the first", "another")]
    done += [stream.update(f"in between {number}", FIRST + number) for number in range(1, LONG)]
    refused.append(stream.update("another", FIRST + LONG, key=key))
    reused = stream.cell.platform.manifest.key_reused
    for one in (one for one in refused if one.error != reused):
        promise = "who uses a key again is told so"
        stream.anomalies.append(Anomaly("CONTRACT", "wrong-reason", promise, reused, one.reason, (f"key {key}",)))
    done += elsewhere.update("before", FIRST), elsewhere.update("the first", FIRST + 1, key=key)
    stream.demand(UpdateOutcome.DONE, *done)
    stream.demand(UpdateOutcome.CONFLICT, *refused)
    stream.judge()
    elsewhere.judge()


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "ES-4")
def test_a_key_is_good_for_one_of_two_updates_under_way(stream: Stream, wire: Wire) -> None:
    """Two updates share a key, and the first is done while the second one looks around: the second is refused."""
    del wire
    link, version, late = on(stream.access.entity.service, Role.POSTGRES_PRIMARY.value), FIRST, list[Update]()
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
        for number in range(1, LOOKS + 1):
            key, look = f"key-{number}-{stream.ref.id}", postgres.query(containing=stream.ref.id)
            with applied(stream.cell, link.when(look).nth(number).hold().preventable()) as held:
                second = writer.submit(stream.update, f"second {number}", version + 1, key=key)
                if outcome_of(held, lambda: False, second.done, WAIT_S) is Hold.HELD:
                    stream.update(f"first {number}", version, key=key)
                    held.release()
                    version += 1
                late.append(second.result(WAIT_S))
            if late[-1].outcome is UpdateOutcome.DONE:
                break
    stream.demand(UpdateOutcome.CONFLICT, *late)
    stream.judge()


@pytest.mark.covers("ES-1", "ES-4")
def test_an_update_needs_no_copy_of_the_database(stream: Stream) -> None:
    """While copies of the database lag, updates are done, are done once when asked again, and conflict as ever."""
    key = f"key-{stream.ref.id}"
    with stream.access.replica_held():
        late = Stream(stream.cell, stream.access, stream.access.create(stream.ref.tenant))
        done = [stream.update("wanted", FIRST, key=key), stream.update("wanted", FIRST, key=key)]
        done.append(late.update("wanted", FIRST))
        stream.demand(UpdateOutcome.CONFLICT, stream.update("another", FIRST, key=key))
    stream.demand(UpdateOutcome.DONE, *done)
    stream.judge()
    late.judge()


@pytest.mark.destructive
@pytest.mark.covers("ES-1")
def test_an_update_that_died_before_its_commit_is_done_when_it_is_asked_for_again(stream: Stream) -> None:
    """A service that is killed before it commits leaves nothing, and the same request again is done."""
    _ask_again_after_a_kill(stream, stream.access.hold_updates)


@pytest.mark.destructive
@pytest.mark.covers("ES-1")
def test_an_update_whose_answer_was_lost_is_not_done_twice(stream: Stream) -> None:
    """A service that is killed when its commit is durable has done the update, and asked again it does no other."""
    saga = stream.cell.platform.sagas(stream.cell.platform.manifest.sagas[0].name)
    _ask_again_after_a_kill(stream, lambda: saga.hold_commits(stream.access.entity.service))


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "UOW-2")
def test_an_update_that_was_broken_off_leaves_nothing_behind(stream: Stream) -> None:
    """An update whose transaction was broken off is done when it is asked for again, as if it had never been tried."""
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer, stream.access.hold_updates() as block:
        updating = writer.submit(stream.update, "asked twice", FIRST)
        block.wait_blocked(timeout_s=WAIT_S)
        block.break_off()
        stream.demand(UpdateOutcome.UNKNOWN, updating.result(WAIT_S), category="UOW")
    stream.demand(UpdateOutcome.DONE, stream.update("asked twice", FIRST), category="UOW")
    stream.judge()


@pytest.mark.destructive
@pytest.mark.covers("ES-1", "UOW-2")
def test_an_update_that_could_not_be_committed_is_not_done(stream: Stream, wire: Wire) -> None:
    """An update whose commit never got to the database has not been done and is not said to be: another one can be."""
    lost, instead = "never committed", "instead of that"
    committed = postgres.commit(containing=[stream.ref.id, lost])
    link = on(stream.access.entity.service, Role.POSTGRES_PRIMARY.value)
    with applied(stream.cell, link.when(committed).times(1).reset()):
        if stream.update(lost, FIRST).outcome is UpdateOutcome.DONE:
            promise, expected = "what could not be committed is not said to be done", "that nothing is known, or no"
            stream.anomalies.append(Anomaly("UOW", "told-and-not-done", promise, expected, UpdateOutcome.DONE.value))
    stream.demand(UpdateOutcome.DONE, stream.update(instead, FIRST), category="UOW")
    stream.judge()


def _ask_again_after_a_kill(stream: Stream, hold: Callable[[], AbstractContextManager[EffectBlock]]) -> None:
    key = f"again-{stream.ref.id}"
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer, hold() as block:
        updating = writer.submit(stream.update, "asked twice", FIRST, key=key)
        held = "the update to be held, or answered"
        wait_until(lambda: block.waiting() or updating.done(), timeout_s=WAIT_S, describe=held)
        if updating.done():
            promise, expected = "what is said to be done is on disk", "an answer when its commit is durable"
            seen = f"an answer before: {updating.result().outcome.value}"
            stream.anomalies.append(Anomaly("DBTX", "told-too-early", promise, expected, seen, (f"key {key}",)))
            stream.judge()
        with killed(stream.cell, stream.access.entity.service):
            stream.demand(UpdateOutcome.UNKNOWN, updating.result(WAIT_S), category="UOW")
            block.release()
    stream.demand(UpdateOutcome.DONE, stream.update("asked twice", FIRST, key=key), category="UOW")
    stream.judge()
