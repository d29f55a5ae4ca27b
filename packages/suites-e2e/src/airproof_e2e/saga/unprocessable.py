"""What scenarios do with messages that a service can do nothing with: that nobody understands, that are forged."""

from __future__ import annotations

from contextlib import suppress

from airproof.checkers.outbox import CAUSE
from airproof.checkers.verdict import Anomaly
from airproof.errors import WaitTimeout
from airproof.platform.driver import Tenant, Write
from airproof.platform.manifest import Step
from airproof.platform.observation import MessageKind, SagaState
from airproof_e2e.saga.breakage import (
    demand_clean_exit,
    forged,
    forged_commands,
    held,
    poison,
    publishing_refused,
    stopped,
    unroutable,
)
from airproof_e2e.saga.letters import demand_causes, demand_letters, followers, keepers
from airproof_e2e.saga.moments import last_refusable, services_of, turning_back, undoable
from airproof_e2e.saga.parking import demand_counted, wait_parked
from airproof_e2e.saga.stage import Stage

GETS_THROUGH_S = 1.0


def letters_are_refused(stage: Stage) -> None:
    """A service gets what it cannot process while no dead letter can be sent, and is told to shut down over it.

    In its outbox waits what it cannot send, of which an operator sends the letter when that can be sent. Others follow.
    """
    step = stage.saga.steps[0]
    handled = stage.platform.requests.handled(step.participant)
    with publishing_refused(stage, step.participant, MessageKind.DEAD_LETTER):
        nowhere = unroutable(stage, step.participant)
        stage.allowance.parked.add(nowhere)
        stage.allowance.held_back.add(nowhere)
        messages = poison(stage, step.participant)
        saga_id = stage.start()
        with suppress(WaitTimeout):
            stage.wait_for(saga_id, (MessageKind.REPLY, f"{step.name}.{stage.action}"), timeout_s=GETS_THROUGH_S)
        letters = [row for row in wait_parked(stage, step.participant) if row.message_id != nowhere]
        # Who is started again counts anew.
        handled -= stage.platform.requests.handled(step.participant)
        with stopped(stage, step.participant) as fault:
            demand_clean_exit(stage, fault)
    for letter in letters:
        stage.platform.outbox.retry(step.participant, letter.message_id)
    demand_letters(stage, step.participant, messages)
    stage.wait_end(saga_id)
    _demand_handled(stage, saga_id, step, handled)


def poison_arrives(stage: Stage) -> None:
    """Every service is sent messages that it cannot process, some of which others cannot either; others follow."""
    counted = {service: stage.platform.requests.given_up(service) for service in services_of(stage.saga)}
    sent = {service: poison(stage, service) for service in counted}
    shared = {keeper: poison(stage, service, keeper) for keeper, service in keepers(stage).items()}
    stage.wait_end(stage.start())
    for keeper, messages in shared.items():
        for reader in (keeper, *followers(stage, keeper)):
            demand_letters(stage, reader, messages)
    for service, messages in sent.items():
        letters = demand_letters(stage, service, messages)
        demand_causes(stage, service, [letter.headers.get(CAUSE, "") for letter in letters])
        demand_counted(stage, service, counted[service] + len(messages))


def replies_are_forged(stage: Stage) -> None:
    """While a participant is at its step, refusals of it arrive in another tenant's name."""
    first, other = stage.saga.steps[0], Tenant(f"{stage.tenant.id}-other")
    with held(stage, first.participant, Write.BUSINESS):
        saga_id = stage.start()
        stage.command(saga_id, first)
        demand_letters(stage, stage.orchestrator, forged(stage, saga_id, first, other), "TENANCY")
        state = stage.access.read(saga_id).state
        if state is not SagaState.RUNNING:
            promise = "no message of one tenant moves a saga of another"
            stage.anomalies.append(Anomaly("TENANCY", "moved-by-another", promise, "a saga that runs", state.value))


def commands_are_forged(stage: Stage) -> None:
    """Before a saga turns back, what it has done is asked for, to be done and undone, in another tenant's name."""
    other = Tenant(f"{stage.tenant.id}-other")
    with turning_back(stage) as (saga_id, _):
        asleep = last_refusable(stage).participant
        awake = [step for step in undoable(stage.saga) if step.participant != asleep]
        sent = [(step, forged_commands(stage, saga_id, step, other)) for step in awake]
        for step, messages in sent:
            demand_letters(stage, step.participant, messages, "TENANCY")


def _demand_handled(stage: Stage, saga_id: str, step: Step, before: float) -> None:
    """Operators see what the step's participant has handled, and not what it has given up, as handled."""
    handled = stage.platform.requests.handled(step.participant) - before
    commands = [one for one in stage.platform.bus.messages(saga_id) if one.kind is MessageKind.COMMAND]
    own = sum(one.type.startswith(f"{step.name}.") for one in commands)
    follows = any(one.service == step.participant for one in stage.platform.manifest.subscriptions)
    if not (1 <= handled <= own or follows):
        promise = "what is handled to the end is counted as handled, and nothing else is"
        seen, expected = f"{handled:g} of {step.participant}", f"1 to {own}, the commands of the saga"
        stage.anomalies.append(Anomaly("BUS", "counted-wrong", promise, expected, seen))
