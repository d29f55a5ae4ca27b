"""The event stream of one entity: no gap, no update lost, none done twice, and the state is what the stream says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.platform.observation import Snapshot, StoredEvent, Update, UpdateOutcome

CATEGORY = "ES"
CONTIGUOUS = "the events of a stream have the versions 1, 2, 3, …, each once, in this order"
ONE_WINNER = "of all updates at one expected version one is done"
LAST_VERSION = "an update at the last version is done"
ONE_KEY = "the key of an update is good for no other one"
KEPT = "an update that was done is in the stream, and one that was refused is not"
STATE = "the entity is what the last event of its stream made of it"
SHOWN = "an update that was done is answered with what it has made of the entity"
AS_THEN = "an update that was done and is asked for again, with its key, is answered as it was then"
CAUSE = "an event names the request that it comes from"
TOLD = "an event tells what the request that it comes from has changed"
OWN_TENANT = "an event is of its entity's tenant"
UNTOUCHED = "an update that was refused leaves nothing behind"
SAME = "all events of a stream speak of the same things"
WHOLE = "an event tells all that it is declared to"
GONE = "an entity that is removed is gone, and the last event of its stream says so, once"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An update that somebody asked for. Those with the same key are one.

    Attributes:
        correlation_id: the request's own; empty if it had none.
    """

    expected_version: int
    value: str
    answer: Update
    key: str = ""
    correlation_id: str = ""

    def __str__(self) -> str:
        return f"{self.value!r} at version {self.expected_version}: {self.answer.outcome.value}"


@dataclass(frozen=True, slots=True)
class EntityStream:
    """An entity that was created and then updated by these attempts and nobody else.

    Attributes:
        entity: its kind and id, for the reader.
        attempts: in the order in which they were answered.
        truth: the entity as its owner shows it in the end; None where it is gone.
        tenant_id: whose it is; empty if that is not asked.
        removed: the type of the event that says that it is removed, where it must be.
        tells: what the payload of each event of an update has.
    """

    entity: str
    events: tuple[StoredEvent, ...]
    attempts: tuple[Attempt, ...]
    truth: Snapshot | None
    tenant_id: str = ""
    removed: str = ""
    tells: tuple[str, ...] = ()

    def judge(self) -> Verdict:
        """The checker's verdict on it."""
        return check_stream(self)


def check_stream(seen: EntityStream) -> Verdict:
    """Judges the stream against the answers that were given and the state that came of it."""
    events, attempts = seen.events, seen.attempts
    lived = [event for event in events if event.event_type != seen.removed]
    answers = [*_left_behind(lived, attempts), *_winners(attempts), *_keys(attempts), *_kept(lived, attempts)]
    answers += [*_shown(lived, attempts), *_repeated(attempts), *_refused(events, attempts)]
    state = _gone(events, seen) if seen.removed else _state(events, attempts, seen.truth)
    return judged(
        "stream",
        [
            *_gaps(events),
            *answers,
            *state,
            *_causes(lived, attempts),
            *_tenants(seen),
            *_same(events),
            *_whole(lived, seen),
        ],
    )


def _gaps(stream: Sequence[StoredEvent]) -> Iterator[Anomaly]:
    versions = [event.version for event in stream]
    if versions != list(range(1, len(stream) + 1)):
        witness = tuple(f"version {event.version}: {event.event_type} {event.event_id}" for event in stream)
        yield Anomaly(CATEGORY, "version-gap", CONTIGUOUS, "1, 2, 3, …", str(versions), witness)


def _left_behind(stream: Sequence[StoredEvent], attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    """The values of those who were refused, and of nobody else, stand in no event."""
    values = {one.value for one in attempts if _may_be_done(one)}
    for one in attempts:
        told = [event for event in stream if one.value in event.payload.values()]
        if told and one.value not in values:
            seen = f"version {told[0].version} tells {one.value!r}"
            yield Anomaly("UOW", "refused-and-done", UNTOUCHED, "no event of it", seen, (str(one),))
            return


def _winners(attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    done = {(one.expected_version, one.key or one.value) for one in attempts if _is(one, UpdateOutcome.DONE)}
    for version, count in Counter(version for version, _ in done).items():
        if count > 1:
            witness = tuple(str(one) for one in attempts if one.expected_version == version)
            yield Anomaly(CATEGORY, "two-winners", ONE_WINNER, "1 done", f"{count} done", witness)


def _keys(attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    done = [one for one in attempts if one.key and _is(one, UpdateOutcome.DONE)]
    for key in sorted({one.key for one in done}):
        requests = {(one.expected_version, one.value) for one in done if one.key == key}
        if len(requests) > 1:
            seen, witness = f"{len(requests)} done", tuple(str(one) for one in done if one.key == key)
            yield Anomaly("CONTRACT", "key-reused", ONE_KEY, "1 done, the others refused", seen, witness)


def _kept(stream: Sequence[StoredEvent], attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    updates = len(stream) - 1
    done = {one.key or one.value for one in attempts if _is(one, UpdateOutcome.DONE)}
    unknown = {one.key or one.value for one in attempts if _is(one, UpdateOutcome.UNKNOWN)} - done
    if not len(done) <= updates <= len(done) + len(unknown):
        name = "update-lost" if updates < len(done) else "update-done-twice"
        expected = f"{len(done)} to {len(done) + len(unknown)} updates" if unknown else f"{len(done)} updates"
        yield Anomaly(CATEGORY, name, KEPT, expected, f"{updates} in the stream", tuple(map(str, attempts)))


def _state(stream: Sequence[StoredEvent], attempts: Sequence[Attempt], truth: Snapshot | None) -> Iterator[Anomaly]:
    version = stream[-1].version if stream else 0
    values = {one.value for one in attempts if one.expected_version == version - 1 and _may_be_done(one)}
    if truth is None or truth.version != version or (version > 1 and truth.value not in values):
        expected = f"version {version}" + (f" {' or '.join(sorted(values))!r}" if values else "")
        yield Anomaly(CATEGORY, "state-differs", STATE, expected, str(truth))
    elif stream[-1].payload and truth.value not in stream[-1].payload.values():
        told = (f"version {version} tells {stream[-1].payload}",)
        yield Anomaly(
            CATEGORY, "event-tells-otherwise", STATE, f"an event that tells {truth.value!r}", str(truth), told
        )


def _gone(stream: Sequence[StoredEvent], seen: EntityStream) -> Iterator[Anomaly]:
    told = [event.event_type for event in stream]
    if seen.truth or told.count(seen.removed) != 1 or told[-1] != seen.removed:
        shown = f"{seen.truth or 'gone'} after {', '.join(told)}"
        yield Anomaly(CATEGORY, "removed-and-there", GONE, f"gone after {seen.removed}", shown)


def _shown(stream: Sequence[StoredEvent], attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    ids = {event.aggregate_id for event in stream}
    for one in attempts:
        shown = one.answer.shown
        if shown and (shown.version, shown.value, {shown.id}) != (one.expected_version + 1, one.value, ids):
            expected = f"version {one.expected_version + 1} {one.value!r}"
            yield Anomaly(CATEGORY, "answer-differs", SHOWN, expected, str(shown), (str(one),))
            return


def _repeated(attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    done: set[tuple[str, int, str]] = set()
    for one in attempts:
        request = one.key, one.expected_version, one.value
        if one.key and _is(one, UpdateOutcome.DONE):
            done.add(request)
        elif request in done and _is(one, UpdateOutcome.CONFLICT):
            witness = tuple(str(other) for other in attempts if other.key == one.key)
            yield Anomaly("CONTRACT", "repeat-refused", AS_THEN, "done", one.answer.reason or "a conflict", witness)
            return


def _refused(stream: Sequence[StoredEvent], attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    """Who is refused at a version that nothing has followed, and not for their key, conflicts with nobody."""
    used = {one.key for one in attempts if one.key and _may_be_done(one)}
    for one in attempts:
        if one.expected_version == len(stream) and _is(one, UpdateOutcome.CONFLICT) and one.key not in used:
            seen = one.answer.reason or "a conflict"
            yield Anomaly(CATEGORY, "conflict-with-nobody", LAST_VERSION, "done", seen, tuple(map(str, attempts)))
            return


def _causes(stream: Sequence[StoredEvent], attempts: Sequence[Attempt]) -> Iterator[Anomaly]:
    for event in stream:
        causes = [one for one in attempts if one.expected_version == event.version - 1 and _may_be_done(one)]
        values = {one.value for one in causes}
        told = event is stream[-1] or not event.payload or not values.isdisjoint(map(str, event.payload.values()))
        if causes and not told:
            expected, seen = " or ".join(map(repr, sorted(values))), f"version {event.version} tells {event.payload}"
            yield Anomaly(CATEGORY, "event-tells-otherwise", TOLD, expected, seen, tuple(map(str, causes)))
            return
        ids = {one.correlation_id for one in causes}
        if causes and "" not in ids and event.correlation_id not in ids:
            expected, seen = " or ".join(sorted(ids)), event.correlation_id or "none"
            yield Anomaly("XSERVICE", "correlation-lost", CAUSE, expected, seen, tuple(map(str, causes)))
            return


def _tenants(seen: EntityStream) -> Iterator[Anomaly]:
    for event in seen.events if seen.tenant_id else ():
        if event.tenant_id != seen.tenant_id:
            witness = (f"version {event.version}: {event.event_type} {event.event_id}",)
            yield Anomaly("TENANCY", "tenant-lost", OWN_TENANT, seen.tenant_id, event.tenant_id or "none", witness)
            return


def _same(stream: Sequence[StoredEvent]) -> Iterator[Anomaly]:
    """Each `…_id` in what the events tell is one."""
    ids: dict[str, object] = {}
    for event in stream:
        for name, told in event.payload.items():
            if name.endswith("_id") and ids.setdefault(name, told) != told:
                witness = (f"version {event.version}: {event.event_type} {event.event_id}",)
                expected = f"{name} {ids[name]!r}, as the events before it tell"
                yield Anomaly(CATEGORY, "speaks-of-another", SAME, expected, f"{name} {told!r}", witness)
                return


def _whole(stream: Sequence[StoredEvent], seen: EntityStream) -> Iterator[Anomaly]:
    for event in stream[1:]:
        if lacking := [name for name in seen.tells if name not in event.payload]:
            witness = (f"version {event.version}: {event.event_type} {event.event_id}",)
            expected = f"{event.event_type} with {', '.join(seen.tells)}"
            yield Anomaly("CONTRACT", "event-lacks", WHOLE, expected, f"none {lacking}", witness)
            return


def _may_be_done(attempt: Attempt) -> bool:
    """Whether its value may be there: who was told of a conflict has not done it."""
    return not _is(attempt, UpdateOutcome.CONFLICT)


def _is(attempt: Attempt, outcome: UpdateOutcome) -> bool:
    return attempt.answer.outcome is outcome
