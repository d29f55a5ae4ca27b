"""Outboxes and dead letters: everything is sent, or parked with its cause where the scenario says so."""

from __future__ import annotations

from collections.abc import Iterator

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import witness
from airproof.platform.observation import BusMessage, MessageKind, SagaObservation

OUTBOX = "OUTBOX"
CAUSE = "dlq-cause"
"""The header of a dead letter that says why it is one."""
ORIGIN = "dlq-topic"
"""The header of a dead letter that says to which topic its message went."""
PARKER = "dlq-source"
"""The header of a dead letter that says which service made it one."""
TRIED = "dlq-attempts"
"""The header of a dead letter that says how often it was tried, at least once."""


LARGE_BYTES = 1_000_000
"""What is larger may lie among the dead letters without its body: no record may have room for what is told of it."""


def said(letter: BusMessage, header: str) -> str:
    """What a header of a dead letter says, at last if it was one before; empty if it is not there."""
    return letter.headers.get(header, "").rpartition("\n")[2]


def check_outbox(observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges what the services still hold back and what they parked."""
    unread = [what for what in observation.unread if what in {"bus", "outbox"}]
    return judged("outbox", _anomalies(observation, expectation), unread=unread)


def _anomalies(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    rows = {row.message_id: row for row in observation.outbox}
    for row in rows.values():
        if row.message_id not in expectation.held_back:
            yield Anomaly(
                OUTBOX,
                "not-drained",
                "nothing stays behind in an outbox",
                "none",
                f"{row.status} after {row.attempts} attempts in {row.service}",
                (f"{row.message_id} for {row.topic}: {row.last_error or 'no error'}",),
            )
    for missing in sorted(expectation.held_back - rows.keys()):
        promise = "a message that the broker refuses for good stays in the outbox, parked"
        yield Anomaly(OUTBOX, "not-parked", promise, f"{missing} parked", "not in an outbox")
    yield from _dead_letters(observation, expectation)


def _dead_letters(observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    letters = [message for message in observation.bus if message.kind is MessageKind.DEAD_LETTER]
    unexpected = [letter for letter in letters if letter.message_id not in expectation.parked]
    if unexpected:
        promise = "only a message that cannot be delivered is parked"
        causes = sorted({letter.headers.get(CAUSE, "no cause") for letter in unexpected})
        # Where no outbox has parked it, whoever was to handle it has given it up.
        unsent = {row.message_id for row in observation.outbox}
        category = OUTBOX if any(letter.message_id in unsent for letter in unexpected) else "BUS"
        yield Anomaly(category, "parked", promise, "no dead letter", "; ".join(causes), witness(unexpected))
    for wanted in sorted(expectation.parked - {letter.message_id for letter in letters}):
        promise = "a message that cannot be delivered is parked among the dead letters after so many tries"
        yield Anomaly(OUTBOX, "no-dead-letter", promise, f"{wanted} among the dead letters", "not there")
    # The first of each: a letter that was sent once more came later.
    originals = {_name(m): m for m in reversed(observation.bus) if m.kind is not MessageKind.DEAD_LETTER}
    for letter in letters:
        for header, what in ((CAUSE, "why it is one"), (PARKER, "who made it one"), (TRIED, "how often it was tried")):
            if said(letter, header) in {"", "0"}:
                promise = f"a dead letter says {what}"
                yield Anomaly(OUTBOX, "no-cause", promise, f"a {header}", "none", witness([letter]))
        original = originals.get(_name(letter))
        if original and said(letter, ORIGIN) != original.topic:
            promise, seen = "a dead letter says which topic its message is of", said(letter, ORIGIN) or "none"
            yield Anomaly(OUTBOX, "wrong-origin", promise, original.topic, seen, witness([original, letter]))
        body = original.body if original and not _is_left_out(original, letter) else letter.body
        if original and (original.key, body) != (letter.key, letter.body):
            promise = "a dead letter is the original message, untouched"
            yield Anomaly(OUTBOX, "letter-changed", promise, "the same body", "another", witness([original, letter]))
        changed = {
            name: letter.headers.get(name)
            for name, value in (original.headers if original else {}).items()
            if letter.headers.get(name) != value
        }
        if changed:
            promise = "a dead letter keeps the headers of the original"
            yield Anomaly(OUTBOX, "letter-changed", promise, "the same headers", str(changed), witness([letter]))


def _is_left_out(original: BusMessage, letter: BusMessage) -> bool:
    """Whether the letter is without its body and may be."""
    return not letter.body and len(str(original.body)) > LARGE_BYTES


def _name(message: BusMessage) -> str:
    """What the message and its letter are known by: the key, where there is no id."""
    return message.message_id or message.key
