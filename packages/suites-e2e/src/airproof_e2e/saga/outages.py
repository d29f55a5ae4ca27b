"""What scenarios do to what all services need: it is away for a while, and comes back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from airproof.checkers.verdict import Anomaly
from airproof.errors import FaultNotHealed, WaitTimeout
from airproof.faults import wire
from airproof.faults.network import partition
from airproof.history import Explanation
from airproof.platform.observation import MessageKind
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, on, postgres
from airproof_e2e.saga.breakage import UNEXPECTED, frozen_at_rest, killed, redelivered, stopped_over
from airproof_e2e.saga.log_lines import wait_error
from airproof_e2e.saga.messages import BROKER, DATABASE
from airproof_e2e.saga.moments import before_deadline, services_of, wait_past
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

AWAY_S, BROKER_AWAY_S, MOST_LINES_A_SECOND = 8.0, 2.0, 30
"""The first is so long that who tries once a second at last has tried more than ten times."""
UNREACHED_S, SOON_S, WAITING, TRIES_A_SECOND = 0.5, 5.0, 8, 3
LOOKS_WITHIN_S, MOST_LOOKS = 1.2, 20
"""How long at most who has nothing to do waits before it looks for work again, and how often it looks in vain."""


def database_down(stage: Stage) -> None:
    """All databases are killed and away for a while; one saga waits for a command to be done, one for a reply.

    In every outbox waits a message, for its next try. A service is told to shut down meanwhile, and started. When the
    databases are back all that was asked and told for that one saga before is delivered again.
    """
    last, other, third = (stage.saga.steps[number % len(stage.saga.steps)] for number in (-1, 1, -2))
    with ExitStack() as waiting, ExitStack() as frozen:
        for service in services_of(stage.saga):
            postponed = stage.platform.outbox.postponed(service, stage.tenant)
            stage.allowance.foreign.update(waiting.enter_context(postponed))
        replier = frozen.enter_context(frozen_at_rest(stage, last.participant))
        replied = stage.start()
        stage.command(replied, last)
        if other.participant != last.participant:
            frozen.enter_context(frozen_at_rest(stage, other.participant))
        stage.command(stage.start(), other)
        frozen.enter_context(frozen_at_rest(stage, stage.orchestrator))
        replier.heal()
        stage.reply(replied, last)
        with ThreadPoolExecutor(1, thread_name_prefix="start") as starter:
            with killed(stage, DATABASE):
                frozen.close()
                back_at, before = time.monotonic() + AWAY_S, _logged(stage)
                starting = starter.submit(_stopped_and_started, stage, third.participant)
                wait_past(back_at, "the outage to be a long one")
                _demand_restraint(stage, _logged(stage) - before, "its database", AWAY_S)
            starting.result()
    stage.wait_end(stage.start())
    stage.wait_end(replied)
    _deliver_again(stage, replied)


def _deliver_again(stage: Stage, saga_id: str) -> None:
    """Who has lost what it remembered of having done that does it once more, or can do it no more."""
    followed = {one.event for one in stage.platform.manifest.subscriptions}
    for message in {one.message_id: one for one in stage.platform.bus.messages(saga_id)}.values():
        if message.kind is MessageKind.COMMAND or message.type in followed:
            redelivered(stage, message)


def _stopped_and_started(stage: Stage, service: str) -> None:
    """Shuts a service down and starts it, which takes until all is there that it needs."""
    try:
        stopped_over(stage, service, "its database")
    except FaultNotHealed as error:
        promise, expected = "in whatever order services and databases come up, all come up", f"{service} is ready"
        stage.anomalies.append(Anomaly("XSERVICE", "does-not-start", promise, expected, str(error)))


def _logged(stage: Stage) -> Counter[str]:
    """How many lines each instance of a service has written."""
    instances = {one.name for service in services_of(stage.saga) for one in stage.cell.description.instances(service)}
    return Counter(line.node for line in stage.log_lines() if line.node in instances)


def _demand_restraint(stage: Stage, lines: Counter[str], missing: str, away_s: float) -> None:
    """Who waits for something does not try, and say so, all the time."""
    most = int(away_s * MOST_LINES_A_SECOND)
    loud = {node: count for node, count in lines.items() if count > most}
    if loud:
        promise = f"who waits for {missing} pauses between its tries, and floods no log"
        expected, seen = f"at most {most} lines in {away_s:g} s", str(loud)
        stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, seen))


def broker_down(stage: Stage) -> None:
    """The broker is killed and away for a while; one saga waits for a command to be done, one begins meanwhile.

    A service is shut down while the broker is away, and started when it is back.
    """
    asked, third = (stage.saga.steps[number % len(stage.saga.steps)] for number in (1, -2))
    with ExitStack() as frozen:
        frozen.enter_context(frozen_at_rest(stage, asked.participant))
        waiting = stage.start()
        stage.command(waiting, asked)
        with killed(stage, BROKER) as broker:
            frozen.close()
            back_at, before = time.monotonic() + BROKER_AWAY_S, _logged(stage)
            begun = stage.start()
            wait_past(back_at, "the outage to be a long one")
            _demand_restraint(stage, _logged(stage) - before, "the broker", BROKER_AWAY_S)
            stopped_over(stage, third.participant, "the broker", broker.heal)
    for saga_id in (waiting, begun, stage.start()):
        stage.wait_end(saga_id)


def broker_not_reached_at_start(stage: Stage) -> None:
    """The orchestrator is started, with much to send, when it does not reach the broker, and then it does.

    Once all that is over it looks as often as ever for what another process has left in its outbox.
    """
    service, outbox = stage.orchestrator, stage.platform.outbox
    with ThreadPoolExecutor(1, thread_name_prefix="start") as starter, killed(stage, service) as down:
        put = [outbox.put_stream(service, stage.tenant, [0])[0] for _ in range(WAITING)]
        stage.allowance.foreign.update(put)
        with partition(stage.cell, service, [BROKER]):
            starting = starter.submit(down.heal)
            wait_until(
                lambda: all(row.last_error for row in outbox.held_back(service, stage.tenant)),
                timeout_s=WAIT_S,
                describe=f"{service} to try to send",
            )
            began, before = time.monotonic(), _told_of(stage, put)
            wait_past(began + UNREACHED_S, "it to try again")
            _demand_pauses(stage, service, _told_of(stage, put) - before, time.monotonic() - began)
            if starting.done():
                promise, seen = "a service that does not reach the broker is not ready", f"{service} is ready"
                stage.anomalies.append(Anomaly("XSERVICE", "readiness-lies", promise, "not ready", seen))
            _demand_untried(stage, service)
        starting.result(WAIT_S)
    _wait_sent(stage, f"{service} to have sent what waits, now that it reaches the broker")
    stage.wait_end(stage.start())
    stage.allowance.foreign.update(outbox.put_stream(service, stage.tenant, [0]))
    try:
        _wait_sent(stage, f"{service} to look for what nobody has told it of")
    except WaitTimeout as error:
        promise, expected = "an outage that is over leaves nothing slower than it was", f"within {SOON_S:g} s"
        stage.anomalies.append(Anomaly("PERF", "slow-ever-after", promise, expected, str(error)))


def _told_of(stage: Stage, ids: Collection[str]) -> int:
    """How many lines of logs are about any of the messages."""
    return sum(any(one in line.text for one in ids) for line in stage.log_lines())


def _demand_pauses(stage: Stage, service: str, lines: int, in_s: float) -> None:
    """Who has tried all of many messages in vain tries more and more rarely, each of them, and not all together."""
    most = int(WAITING * (1 + TRIES_A_SECOND * in_s))
    if lines > most:
        promise = "who waits for the broker tries more and more rarely to send what waits"
        expected, seen = f"at most {most} lines about {WAITING} messages in {in_s:.1f} s", f"{lines} of {service}"
        stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, seen))


def _wait_sent(stage: Stage, describe: str) -> None:
    """What the orchestrator's outbox holds is sent soon."""
    outbox, service = stage.platform.outbox, stage.orchestrator
    wait_until(lambda: not outbox.held_back(service, stage.tenant), timeout_s=SOON_S, describe=describe)


def nobody_expects(stage: Stage) -> None:
    """When all rest, whatever a service looks for in its database is answered with what nobody expects, for a while.

    Afterwards a saga completes, and another one is given up at its deadline.
    """
    stage.cell.barrier(WAIT_S)
    stage.disturbances.append("unexpected")
    with ExitStack() as broken:
        asked = dict[str, AppliedRule]()
        for service in services_of(stage.saga):
            explained = Explanation(service, logger="*", because="what nobody expects is an error")
            answered = on(service, DATABASE).when(postgres.query()).respond(sqlstate=UNEXPECTED, message="broken")
            asked[service] = broken.enter_context(wire.applied(stage.cell, answered, explains=[explained]))
        wait_past(time.monotonic() + LOOKS_WITHIN_S, "all to have looked for work")
        for rule in asked.values():
            rule.wait_until_fired(WAIT_S)
        often = {service: rule.fired for service, rule in asked.items() if rule.fired > MOST_LOOKS}
    if often:
        promise, expected = "who fails pauses before the next try", f"at most {MOST_LOOKS} in {LOOKS_WITHIN_S:g} s"
        stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, str(often)))
    for service in services_of(stage.saga):
        wait_error(stage, service, "what its database says")
    stage.wait_for(stage.start(), (MessageKind.EVENT, stage.saga.completed))

    def then(saga_id: str, _: float) -> None:
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed))

    before_deadline(stage.at(stage.saga.steps[0]), COMPENSATED, then)


def nobody_expects_of_what_was_sent(stage: Stage) -> None:
    """Every service has sent a message, and its database answers with what nobody expects when that is to be noted.

    Behind each waits another one of the same aggregate.
    """
    stage.disturbances.append("unexpected")
    with ExitStack() as broken:
        asked = list[AppliedRule]()
        for service in services_of(stage.saga):
            with frozen_at_rest(stage, service):
                sent, behind = stage.platform.outbox.put_stream(service, stage.tenant, [0, 0])
                stage.allowance.foreign.update((sent, behind))
                noted = on(service, DATABASE).when(postgres.query(containing=sent)).times(1)
                answered = noted.respond(sqlstate=UNEXPECTED, message="broken")
                explained = Explanation(service, logger="*", because="what nobody expects is an error")
                asked.append(broken.enter_context(wire.applied(stage.cell, answered, explains=[explained])))
        for rule in asked:
            rule.wait_until_fired(WAIT_S)
    for service in services_of(stage.saga):
        wait_sent(stage, service)


def _demand_untried(stage: Stage, service: str) -> None:
    """What has not reached the broker has not been refused by it."""
    refused = [row for row in stage.platform.outbox.held_back(service, stage.tenant) if row.attempts]
    if refused:
        promise = "only what the broker has refused counts as tried, not what did not reach it"
        seen, facts = f"{len(refused)} tried", tuple(f"{row.message_id}: {row.last_error}" for row in refused[:3])
        stage.anomalies.append(Anomaly("OUTBOX", "outage-counts", promise, "none", seen, facts))
