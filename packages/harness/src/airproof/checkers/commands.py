"""Commands and replies: each command issued when it may be, under one id, and answered with one answer.

What went before what is told by the senders' clocks in whole milliseconds, on the first copy of each record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import EXECUTE, Exchange, SagaView, make_views, witness
from airproof.platform.manifest import Saga
from airproof.platform.observation import BusMessage, MessageKind, SagaObservation

SAGA = "SAGA"


def check_commands(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges the conversation of every saga of a tenant."""
    anomalies = (
        anomaly for view in make_views(saga, observation, expectation) for check in _CHECKS for anomaly in check(view)
    )
    return judged("commands", anomalies, unread=[what for what in observation.unread if what == "bus"])


def _known(view: SagaView) -> Iterator[Anomaly]:
    types = {str(exchange) for exchange in view.exchanges}
    unknown = [message for message in view.messages if _talk(message) and message.type not in types]
    if unknown:
        promise = "a saga issues the commands that it declares"
        yield Anomaly(SAGA, "unknown-command", promise, str(sorted(types)), unknown[0].type, witness(unknown))


def _one_id_each(view: SagaView) -> Iterator[Anomaly]:
    for exchange in view.exchanges:
        for what, copies in (("command", exchange.commands), ("reply", exchange.replies)):
            ids = {copy.message_id for copy in copies}
            if len(ids) > 1:
                yield Anomaly(
                    SAGA,
                    f"{what}-id-changes",
                    f"a {what} that is sent again keeps its message id",
                    f"one id for {what} {exchange}",
                    f"{len(ids)} ids",
                    witness(copies),
                )
            if len({_content(copy) for copy in copies}) > 1:
                yield Anomaly(
                    SAGA,
                    f"{what}-changes",
                    f"a {what} that is sent again says the same",
                    f"one content of {what} {exchange}",
                    "several",
                    witness(f"{copy.message_id} {copy.outcome} {copy.body}" for copy in copies),
                )


def _answered(view: SagaView) -> Iterator[Anomaly]:
    for exchange in view.exchanges:
        if exchange.issued and not exchange.replies:
            promise = "every command is answered"
            yield Anomaly(SAGA, "unanswered", promise, f"a reply to {exchange}", "none", witness(exchange.commands))
        if exchange.replies and not exchange.issued:
            promise = "nobody acts without a command"
            yield Anomaly(SAGA, "unasked", promise, f"no reply {exchange}", "one", witness(exchange.replies))
        asked = {command.message_id for command in exchange.commands}
        astray = [reply for reply in exchange.replies if asked and reply.in_reply_to not in asked]
        if astray:
            promise = "a reply names the command it answers"
            seen = astray[0].in_reply_to or "none"
            yield Anomaly(SAGA, "reply-astray", promise, f"one of {sorted(asked)}", seen, witness(astray))


def _forward_order(view: SagaView) -> Iterator[Anomaly]:
    for earlier, later in pairwise(view.saga.steps):
        first, second = view.execute(earlier.name), view.execute(later.name)
        if not second.issued:
            continue
        if not first.done:
            yield _illegal("a step is asked for only when the one before is done", f"no {second}", first, second)
        elif second.issued_at < first.answered_at:
            yield _illegal("a step is asked for after the one before is done", f"{first} first", first, second)


def _backward_begins_with_a_failure(view: SagaView) -> Iterator[Anomaly]:
    pivot = view.execute(view.saga.pivot)
    refusals = [ex for ex in view.exchanges if ex.action == EXECUTE and ex.refused]
    for compensation in view.compensations:
        if pivot.done:
            yield _illegal("nothing is undone once the pivot is done", f"no {compensation}", pivot, compensation)
        elif pivot.issued and not pivot.refused:
            promise = "nothing is undone while the pivot may still be done"
            yield _illegal(promise, f"no {compensation}", pivot, compensation)
        elif not refusals and not view.ending.may_time_out:
            yield _illegal("a saga turns back only when a step is refused", f"no {compensation}", compensation)
        elif not view.ending.may_time_out and compensation.issued_at < min(ex.answered_at for ex in refusals):
            promise = "a saga turns back after the refusal, not before"
            yield _illegal(promise, f"{refusals[0]} refused first", compensation, *refusals)


def _backward_is_complete(view: SagaView) -> Iterator[Anomaly]:
    """Once a saga turned back, each step that was asked for and not refused is undone."""
    pivot = view.execute(view.saga.pivot)
    turned_back = view.compensations or pivot.refused or any(view.events(view.saga.failed))
    for step in view.saga.compensable if turned_back else ():
        execute, compensate = view.execute(step.name), view.compensate(step.name)
        if compensate.issued and not execute.issued:
            yield _illegal("only a step that was asked for is undone", f"no {compensate}", compensate)
        if compensate.issued and execute.refused and not view.ending.may_time_out:
            yield _illegal("a refused step is not undone", f"no {compensate}", execute, compensate)
        if execute.issued and not execute.refused and not compensate.issued:
            yield _illegal("each step that was done is undone when the saga fails", f"a {compensate}", execute)


def _backward_order(view: SagaView) -> Iterator[Anomaly]:
    order = view.compensations
    for earlier, later in pairwise(order):
        if not earlier.replies or later.issued_at < earlier.answered_at:
            promise = "compensations run in reverse order, one after the other"
            yield _illegal(promise, f"{earlier} answered before {later} is issued", earlier, later)


def _no_step_after_turning_back(view: SagaView) -> Iterator[Anomaly]:
    for compensation in view.compensations:
        for step in view.saga.steps:
            execute = view.execute(step.name)
            if execute.issued and execute.issued_at > compensation.issued_at:
                yield _illegal("a saga that turned back does not go on", f"no {execute}", compensation, execute)


def _illegal(promise: str, expected: str, *exchanges: Exchange) -> Anomaly:
    """An exchange that should not be, should be, or should be at another time."""
    seen = "; ".join(_told(exchange) for exchange in exchanges)
    facts = [message for exchange in exchanges for message in (*exchange.commands[:1], *exchange.replies[:1])]
    name = "compensation-never-issued" if expected.startswith("a ") else "illegal-command"
    return Anomaly(SAGA, name, promise, expected, seen, witness(facts))


def _told(exchange: Exchange) -> str:
    issued = f"issued at {exchange.issued_at}" if exchange.issued else "not issued"
    answers = "/".join(sorted({reply.outcome for reply in exchange.replies}))
    return f"{exchange} {issued}, " + (f"{answers} at {exchange.answered_at}" if answers else "not answered")


def _talk(message: BusMessage) -> bool:
    return message.kind in {MessageKind.COMMAND, MessageKind.REPLY}


def _content(message: BusMessage) -> str:
    return f"{message.key} {message.outcome} {sorted(message.body.items(), key=str)}"


_CHECKS: tuple[Callable[[SagaView], Iterator[Anomaly]], ...] = (
    _backward_is_complete,
    _backward_order,
    _backward_begins_with_a_failure,
    _forward_order,
    _no_step_after_turning_back,
    _one_id_each,
    _answered,
    _known,
)
