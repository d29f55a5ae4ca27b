"""Times: what a message tells of was after what led to it, and before the message was sent."""

from __future__ import annotations

from collections.abc import Iterator

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import SagaView, make_views, witness
from airproof.platform.manifest import Saga
from airproof.platform.observation import BusMessage, MessageKind, SagaObservation

_CATEGORY = "ES"
_SENT_WITHIN_MS, _APART_MS = 10_000, 1_000
"""How late a message may be sent, and how far clocks may be apart."""
_TOLD = frozenset({MessageKind.EVENT, MessageKind.COMMAND})


def check_times(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges when the messages of a tenant's sagas say that it was."""
    unread = [what for what in observation.unread if what == "bus"]
    return judged("times", _anomalies(saga, observation, expectation), unread=unread)


def _anomalies(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    for view in make_views(saga, observation, expectation):
        of_saga = [one for one in observation.bus if one.correlation_id == view.readout.correlation_id]
        messages = [one for one in of_saga if one.kind in _TOLD and not one.injected]
        yield from _named(messages)
        yield from _before_sent(messages)
        yield from _after_cause(view, [one for one in messages if one.told_at_ms])
        if expectation.calm:
            yield from _soon_sent(messages)


def _named(messages: list[BusMessage]) -> Iterator[Anomaly]:
    if any(one.told_at_ms for one in messages) and (silent := [one for one in messages if not one.told_at_ms]):
        promise, seen = "a message says when it was, at a moment that means the same everywhere", "no such moment"
        yield Anomaly(_CATEGORY, "time-missing", promise, "time and zone", seen, witness(silent))


def _before_sent(messages: list[BusMessage]) -> Iterator[Anomaly]:
    if early := [one for one in messages if one.timestamp_ms and one.told_at_ms > one.timestamp_ms + _APART_MS]:
        promise, seen = "a message tells of what has been", f"{early[0].told_at_ms - early[0].timestamp_ms:g} ms later"
        yield Anomaly(_CATEGORY, "time-to-come", promise, "before it was sent", seen, witness(early))


def _after_cause(view: SagaView, messages: list[BusMessage]) -> Iterator[Anomaly]:
    """A message comes after what it names as its cause, and all of a saga after its beginning."""
    told_at = {one.message_id: one.told_at_ms for one in messages}
    began = min((one.told_at_ms for one in messages if one.type == view.saga.started), default=0)
    wrong = [one for one in messages if one.told_at_ms + _APART_MS < max(began, told_at.get(one.causation_id, 0))]
    if wrong:
        seen = f"{max(began, told_at.get(wrong[0].causation_id, 0)) - wrong[0].told_at_ms:g} ms before it"
        promise = "what a message tells of was when it says, after what led to it"
        yield Anomaly(_CATEGORY, "time-wrong", promise, "after its cause", seen, witness(wrong))


def _soon_sent(messages: list[BusMessage]) -> Iterator[Anomaly]:
    if late := [one for one in messages if 0 < one.told_at_ms < one.timestamp_ms - _SENT_WITHIN_MS]:
        promise = "without a fault a message is sent soon after what it tells of"
        seen = f"{(late[0].timestamp_ms - late[0].told_at_ms) / 1000:g} s later"
        yield Anomaly(_CATEGORY, "time-wrong", promise, f"within {_SENT_WITHIN_MS / 1000:g} s", seen, witness(late))
