"""Context over every hop: tenant, correlation, causation and sender are right on all that a saga leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

from airproof.checkers.expectation import Expectation
from airproof.checkers.verdict import Anomaly, Verdict, judged
from airproof.checkers.view import SagaView, make_views, witness
from airproof.platform.manifest import Saga
from airproof.platform.observation import MessageKind, SagaObservation

TENANCY, XSERVICE = "TENANCY", "XSERVICE"
_SENDER = "source"
"""The header of a message that says which service it is from."""


def check_context(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Judges the ids that travel with every effect, event and message."""
    return judged("context", _anomalies(saga, observation, expectation), unread=observation.unread)


def _anomalies(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Iterator[Anomaly]:
    yield from _tenants(observation)
    for view in make_views(saga, observation, expectation):
        yield from _correlation(view)
        yield from _causation(view)
        yield from _senders(view)


def _tenants(observation: SagaObservation) -> Iterator[Anomaly]:
    mine = observation.tenant_id
    everything = [
        *((effect.tenant_id, effect) for effect in observation.effects),
        *((event.tenant_id, event) for event in observation.events),
        *((message.tenant_id, message) for message in observation.bus),
        *((row.tenant_id, row) for row in observation.outbox),
        *((readout.tenant_id, f"saga {readout.saga_id}") for readout in observation.sagas),
    ]
    wrong = [(tenant, fact) for tenant, fact in everything if tenant != mine]
    if wrong:
        promise = "whatever a tenant's saga leaves behind belongs to that tenant"
        seen = ", ".join(sorted({tenant or "no tenant" for tenant, _ in wrong}))
        yield Anomaly(TENANCY, "wrong-tenant", promise, mine, seen, witness(fact for _, fact in wrong))


def _correlation(view: SagaView) -> Iterator[Anomaly]:
    mine = view.readout.correlation_id
    wrong = [message for message in view.messages if message.correlation_id != mine]
    if wrong or not mine:
        promise = "the correlation id reaches every hop"
        seen = wrong[0].correlation_id if wrong else mine
        yield Anomaly(XSERVICE, "correlation-lost", promise, mine or "an id", seen or "none", witness(wrong))


def _causation(view: SagaView) -> Iterator[Anomaly]:
    """Everything but the beginning was caused by a message of the same saga."""
    mine = view.readout.correlation_id
    of_saga = [m for m in view.observation.bus if m.correlation_id == mine and m.kind is not MessageKind.DEAD_LETTER]
    known = {message.message_id for message in of_saga}
    origin = {view.ending.saga_id, mine}
    astray = [m for m in of_saga if not m.injected and m.causation_id not in known | origin]
    if astray:
        promise = "every message names the message that caused it"
        seen = astray[0].causation_id or "none"
        yield Anomaly(XSERVICE, "causation-lost", promise, "a message of the same saga", seen, witness(astray))
    orders = {command.message_id for exchange in view.exchanges for command in exchange.commands}
    for exchange in view.exchanges:
        wrong = [reply for reply in exchange.replies if reply.causation_id not in orders]
        if wrong and exchange.issued:
            promise = "a reply is caused by its command"
            seen = wrong[0].causation_id or "none"
            yield Anomaly(XSERVICE, "causation-wrong", promise, f"the command {exchange}", seen, witness(wrong))
    for step in view.saga.steps:
        events = [*view.events(step.event), *view.events(step.compensation.event if step.compensation else None)]
        strange = [event for event in events if event.causation_id not in orders]
        if strange and orders:
            promise = "an event is caused by the command that asked for what it tells"
            seen = strange[0].causation_id or "none"
            yield Anomaly(XSERVICE, "causation-wrong", promise, f"a command of {step.name}", seen, witness(strange))
    answers = {reply.message_id for exchange in view.exchanges for reply in exchange.replies}
    ends = [event for event in view.events(view.saga.completed) if event.causation_id not in answers]
    if ends and answers:
        promise = "that a saga is complete is caused by the reply that made it so"
        seen = ends[0].causation_id or "none"
        yield Anomaly(XSERVICE, "causation-wrong", promise, "a reply of the same saga", seen, witness(ends))


def _senders(view: SagaView) -> Iterator[Anomaly]:
    """Commands are the orchestrator's, replies the participants', and an event is its keeper's."""
    events = {event.event_id: event.service for event in view.observation.events}
    of_event = [message for message in view.observation.bus if message.kind is MessageKind.EVENT]
    sent = [(message, events[message.message_id]) for message in of_event if message.message_id in events]
    for exchange in view.exchanges:
        sent += [(command, view.saga.orchestrator) for command in exchange.commands]
        sent += [(reply, view.saga.step(exchange.step).participant) for reply in exchange.replies]
    for message, sender in sent:
        told = message.headers.get(_SENDER)
        if told != sender and not message.injected:
            promise = "a message says which service it is from"
            yield Anomaly(XSERVICE, "sender-wrong", promise, sender, told or "none", witness([message]))
            return
