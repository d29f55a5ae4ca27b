"""The bus against the databases: every stored event arrives under its one id and in order, and no other does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import witness
from airproof.platform.observation import BusMessage, MessageKind, SagaObservation, StoredEvent

OUTBOX, BUS, ES = "OUTBOX", "BUS", "ES"
_OF_SAGAS = frozenset([MessageKind.COMMAND, MessageKind.REPLY])


def check_bus(observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges the tenant's records against its stored events."""
    unread = [what for what in observation.unread if what in {"bus", "events"}]
    return judged("bus", _anomalies(observation, expectation), unread=unread)


def _anomalies(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    own = [message for message in observation.bus if not message.injected]
    events = [message for message in own if message.kind is MessageKind.EVENT]
    published = [message for message in events if message.message_id not in expectation.foreign]
    yield from _lost(observation.events, published, expectation)
    yield from _foreign(own, expectation)
    yield from _ghosts(observation.events, published)
    yield from _ids(own)
    yield from _streams(observation.events)
    yield from _order(events, expectation)
    yield from _keys(own)
    yield from _contradictions(own)
    yield from _malformed(own)
    yield from _secrets(observation.bus, expectation)
    if expectation.calm:
        yield from _twice(published)


def _lost(events: Iterable[StoredEvent], published: list[BusMessage], expectation: Expectation) -> Iterator[Anomaly]:
    arrived = {message.message_id for message in published}
    lost = [event for event in events if event.event_id not in arrived | expectation.held_back]
    if lost:
        promise = "every event that was committed arrives on the bus"
        yield Anomaly(OUTBOX, "lost-message", promise, "none missing", f"{len(lost)} missing", witness(lost))


def _foreign(messages: list[BusMessage], expectation: Expectation) -> Iterator[Anomaly]:
    lost = expectation.foreign - {message.message_id for message in messages}
    if lost:
        promise = "every message that was put into an outbox arrives on the bus"
        yield Anomaly(OUTBOX, "lost-message", promise, "none missing", f"{len(lost)} missing", witness(sorted(lost)))


def _ghosts(events: Iterable[StoredEvent], published: list[BusMessage]) -> Iterator[Anomaly]:
    stored = {event.event_id: event for event in events}
    ghosts = [message for message in published if message.message_id not in stored]
    if ghosts:
        promise = "nothing is on the bus that was not committed"
        seen = f"{len(ghosts)} that no database holds"
        yield Anomaly(OUTBOX, "ghost-message", promise, "none", seen, witness(ghosts))
    for message in published:
        event = stored.get(message.message_id)
        if event and _told(message) != _stored(event):
            yield Anomaly(
                OUTBOX,
                "changed-message",
                "an event arrives as it was stored",
                f"{_stored(event)}",
                f"{_told(message)}",
                witness([event, message]),
            )


def _told(message: BusMessage) -> tuple[object, ...]:
    ids = (message.aggregate_id, message.version, message.tenant_id, message.correlation_id, message.causation_id)
    return (message.type, *ids, message.told_at_ms, message.payload)


def _stored(event: StoredEvent) -> tuple[object, ...]:
    ids = (event.aggregate_id, event.version, event.tenant_id, event.correlation_id, event.causation_id)
    return (event.event_type, *ids, event.occurred_at_ms, event.payload)


def _ids(messages: list[BusMessage]) -> Iterator[Anomaly]:
    """One id is one message: copies are alike, and different messages have different ids."""
    copies: dict[str, list[BusMessage]] = defaultdict(list)
    for message in messages:
        if message.kind is not MessageKind.DEAD_LETTER:
            copies[message.message_id].append(message)
    for id_, group in copies.items():
        if not id_:
            yield Anomaly(BUS, "no-id", "every message has an id", "an id", "none", witness(group))
        elif len({(one.kind, one.topic, one.key, one.type, str(one.body)) for one in group}) > 1:
            promise = "a message id belongs to one message"
            yield Anomaly(BUS, "id-reused", promise, "copies that are alike", "different ones", witness(group))


def _streams(events: Iterable[StoredEvent]) -> Iterator[Anomaly]:
    versions: dict[tuple[str, str], list[StoredEvent]] = defaultdict(list)
    for event in events:
        versions[event.service, event.aggregate_id].append(event)
    for (_, aggregate), stream in versions.items():
        seen = sorted(event.version for event in stream)
        wanted = list(range(1, len(stream) + 1))
        if seen != wanted:
            promise = "the versions of an aggregate begin at 1 and have no gap"
            yield Anomaly(ES, "stream-broken", promise, f"{aggregate} {wanted}", str(seen), witness(stream))


def _order(published: list[BusMessage], expectation: Expectation) -> Iterator[Anomaly]:
    """Later events do not wait for one that was parked; where one was, the order is free."""
    first: dict[tuple[str, str], list[BusMessage]] = defaultdict(list)
    known: set[str] = set()
    for message in sorted(published, key=lambda one: (one.topic, one.partition, one.offset)):
        if message.message_id not in known:
            known.add(message.message_id)
            first[message.topic, message.aggregate_id].append(message)
    for (_, aggregate), stream in first.items():
        if any(message.message_id in expectation.parked for message in stream):
            continue
        seen = [message.version for message in stream]
        if seen != sorted(set(seen)):
            promise = "the events of an aggregate arrive in the order of their versions"
            expected = f"{aggregate} {sorted(set(seen))}"
            yield Anomaly(OUTBOX, "reordered", promise, expected, str(seen), witness(stream))


def _keys(messages: list[BusMessage]) -> Iterator[Anomaly]:
    partitions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for message in messages:
        partitions[message.topic, message.key].add(message.partition)
    for (topic, key), where in partitions.items():
        if len(where) > 1:
            promise = "the records of one key lie in one partition"
            yield Anomaly(BUS, "key-spread", promise, "one partition", f"{topic} {key} in {sorted(where)}")
    wrong = [one for one in messages if one.kind is MessageKind.EVENT and one.key != one.aggregate_id]
    wrong += [one for one in messages if one.kind in _OF_SAGAS and one.key != one.saga_id]
    if wrong:
        promise = "events are keyed by their aggregate, commands and replies by their saga"
        yield Anomaly(BUS, "wrong-key", promise, "the id as key", wrong[0].key or "none", witness(wrong))


def _contradictions(messages: list[BusMessage]) -> Iterator[Anomaly]:
    wrong = [message for message in messages if message.contradictions]
    if wrong:
        promise = "key, place, headers and body of a record say the same"
        seen = "; ".join(wrong[0].contradictions)
        yield Anomaly(BUS, "contradictory-record", promise, "no contradiction", seen, witness(wrong))


def _malformed(messages: list[BusMessage]) -> Iterator[Anomaly]:
    wrong = [message for message in messages if message.malformed]
    if wrong:
        promise = "what a record tells is of the kind that consumers reckon with"
        seen = "; ".join(wrong[0].malformed)
        yield Anomaly("CONTRACT", "malformed-record", promise, "nothing of another kind", seen, witness(wrong))


def _secrets(messages: Iterable[BusMessage], expectation: Expectation) -> Iterator[Anomaly]:
    told = [
        message
        for message in messages
        if any(secret in f"{message.headers}{message.body}" for secret in expectation.secrets)
    ]
    if told:
        promise = "no message carries a secret"
        yield Anomaly("SECURITY", "secret-on-the-bus", promise, "none", f"{len(told)} messages", witness(told))


def _twice(published: list[BusMessage]) -> Iterator[Anomaly]:
    counts: dict[str, list[BusMessage]] = defaultdict(list)
    for message in published:
        counts[message.message_id].append(message)
    for copies in counts.values():
        if len(copies) > 1:
            promise = "without a fault each event is sent once"
            yield Anomaly(OUTBOX, "sent-twice", promise, "one copy", f"{len(copies)} copies", witness(copies))
