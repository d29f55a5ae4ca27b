"""What scenarios do to single messages on the wires: lost, answered for, late, cut off in the middle.

Every message of a test holds its tenant's id, which no other test has, so a rule finds exactly its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from uuid import uuid4

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE
from airproof.environment.topology import CLIENT, Role
from airproof.errors import FaultNotHealed, FaultNotObserved, PlatformError, StartRefused, WaitTimeout
from airproof.faults import wire
from airproof.faults.moments import killed_at
from airproof.platform.driver import SagaInput, Tenant
from airproof.platform.observation import BusMessage, MessageKind
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, Rule, http, kafka, on, postgres
from airproof_e2e.saga.breakage import poison, suspended, undo_refused
from airproof_e2e.saga.letters import demand_letters
from airproof_e2e.saga.moments import DEADLINES_S, services_of, undoable
from airproof_e2e.saga.stage import COMPENSATED, COMPLETED, WAIT_S, Stage

DATABASE, BROKER, MAIL = Role.POSTGRES_PRIMARY.value, Role.KAFKA.value, Role.SMTP.value
ONE_REPLICA = 1
STATEMENTS_AT_MOST, COMMITS_AT_MOST = 12, 12
STARTS_AT_MOST = 30
ROUNDS = 3
"""So many failures that who waits longer after each would not be there any more in time, nor who counts some."""
LOOKS, LOOKS_WITHIN_S = 3, 2.0
SLOW_S, ANSWERS_WITHIN_S, CLAIMED_WITHIN_S = 1.5, 0.5, 4.0
GIVES_UP_WITHIN_S = 4.0


def replies_lost(stage: Stage) -> None:
    """Every participant's reply is lost on its way to the broker, after the work was done."""
    with ExitStack() as rules:
        for step in stage.saga.steps:
            reply = kafka.produce(containing=[stage.tenant.id, f"{step.name}.{stage.action}"])
            rules.enter_context(applied(stage, on(step.participant, BROKER).when(reply).times(1).lose_request()))
        stage.wait_end(stage.start())


def acknowledgements_lost(stage: Stage) -> None:
    """The broker takes what every service publishes, and the service, which wants all replicas' word, is never told."""
    easily = on("*", BROKER).when(kafka.produce(containing=stage.tenant.id, acks=ONE_REPLICA)).observe()
    with ExitStack() as rules:
        content = rules.enter_context(applied(stage, easily.preventable()))
        for service in services_of(stage.saga):
            published = kafka.produce(containing=stage.tenant.id)
            rules.enter_context(applied(stage, on(service, BROKER).when(published).times(1).after().lose_reply()))
        stage.wait_end(saga_id := stage.start())
        if content.fired:
            promise, expected = "what is told outlives any one broker", "messages that all replicas acknowledge"
            seen = f"{content.fired} that one is to acknowledge"
            stage.anomalies.append(Anomaly("OUTBOX", "acknowledged-by-one", promise, expected, seen))
    promise = "who is not told that a message was taken repeats it so that the broker takes it once"
    _demand_once(stage, promise, stage.platform.bus.messages(saga_id))


def acknowledgements_late(stage: Stage) -> None:
    """The broker is slow to acknowledge a dead letter, and an event, each of which it has taken.

    That another event was taken cannot be noted, until the claim on it has ended.
    """
    first, own = stage.saga.steps[0].participant, stage.tenant.id
    letter = on(first, BROKER).when(kafka.produce(containing=own)).times(1).after()
    event = on(stage.orchestrator, BROKER).when(kafka.produce(containing=[own, stage.saga.started])).times(1).after()
    with applied(stage, letter.delay(SLOW_S)):
        demand_letters(stage, first, poison(stage, first))
    with applied(stage, event.delay(SLOW_S)):
        stage.wait_end(saga_id := stage.start())
    bus = [*stage.platform.bus.messages(saga_id), *stage.platform.bus.messages(_noted_late(stage, event.hold()))]
    _demand_once(stage, "who is told late that a message was taken does not send it again", bus)


def _demand_once(stage: Stage, promise: str, messages: Iterable[BusMessage]) -> None:
    copies = Counter(one.message_id for one in messages if one.kind is MessageKind.EVENT)
    if twice := sorted(message_id for message_id, count in copies.items() if count > 1):
        seen = f"{len(twice)} twice"
        stage.anomalies.append(Anomaly("OUTBOX", "sent-twice", promise, "one of each", seen, tuple(twice)))


def _noted_late(stage: Stage, acknowledgement: Rule) -> str:
    """Whoever has sent an event can note that for a while no more; the saga's id.

    A relay may claim once more what it has in hand, or leave it alone, for as long as it is not sent again.
    """
    service, outbox = stage.orchestrator, stage.platform.outbox
    with applied(stage, acknowledgement) as held:
        saga_id = stage.start()
        held.wait_until_held(WAIT_S)
        sent = stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.started)).message_id
        with applied(stage, on(service, DATABASE).when(postgres.commit(containing=sent)).reset()) as noting:
            held.release()
            noting.wait_until_fired(WAIT_S)
            outbox.end_claims(service, stage.tenant, 0)
            with suppress(WaitTimeout):
                wait_until(
                    lambda: outbox.claimed_for_s(service, stage.tenant, sent) > 0,
                    timeout_s=CLAIMED_WITHIN_S,
                    describe=f"{service} to claim {sent} again",
                )
    stage.wait_end(saga_id)
    return saga_id


def sequence_broken(stage: Stage) -> None:
    """The broker refuses a message of every service, which has sent before, as one that is not its next.

    Then it refuses a dead letter so.
    """
    stage.wait_end(stage.start())
    with _out_of_order(stage, services_of(stage.saga)):
        stage.wait_end(stage.start())
    first = stage.saga.steps[0].participant
    with _out_of_order(stage, [first]):
        demand_letters(stage, first, poison(stage, first))


def records_damaged(stage: Stage) -> None:
    """What the broker hands out is damaged on its way, once for each service: it names another tenant all over."""
    own = stage.tenant.id.encode()
    with ExitStack() as rules:
        for service in services_of(stage.saga):
            fetched = on(service, BROKER).when(kafka.fetch(containing=stage.tenant.id)).times(1).after()
            rules.enter_context(applied(stage, fetched.corrupt(find=own, replacement=own.swapcase())))
        stage.wait_end(stage.start())


@contextmanager
def _out_of_order(stage: Stage, services: Iterable[str]) -> Iterator[None]:
    with ExitStack() as rules:
        for service in services:
            published = on(service, BROKER).when(kafka.produce(containing=stage.tenant.id)).times(1)
            rules.enter_context(applied(stage, published.respond(error="OUT_OF_ORDER_SEQUENCE_NUMBER")))
        yield


def killed_between_send_and_mark(stage: Stage) -> None:
    """The step's participant is killed when the broker has acknowledged its messages and it has not marked them."""
    participant = stage.step.participant
    published = on(participant, BROKER).when(kafka.produce(containing=stage.tenant.id)).after()
    stage.disturbances.append("killed")
    with killed_at(stage.cell, participant, published) as fault:
        saga_id = stage.start()
        fault.wait(timeout_s=WAIT_S)
        fault.heal()
        stage.wait_end(saga_id)


def commit_late(stage: Stage) -> None:
    """A saga's first commit is held at the orchestrator, while another tenant's saga is stored and told behind it.

    Of another saga the first two commits are so late that whoever is asked by the one has answered before the next.
    """
    other, given, quick, key = Tenant(f"other-{stage.tenant.id}"), stage.make_input(), stage.make_input(), str(uuid4())
    first, second = (postgres.commit(containing=one.subject) for one in (given, quick))
    link = on(stage.orchestrator, DATABASE)
    with applied(stage, link.when(second).times(2).delay(ANSWERS_WITHIN_S)):
        stage.wait_end(stage.start(quick))
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="user") as user,
        applied(stage, link.when(first).times(1).hold()) as held,
    ):
        late = user.submit(stage.access.start, given, key=key)
        held.wait_until_held(WAIT_S)
        stage.wait_end(stage.start(stage.make_input(tenant=other)))
        held.release()
        late.result(WAIT_S)
    stage.wait_end(stage.start(given, key=key))


def reply_taken_slowly(stage: Stage) -> None:
    """The orchestrator's commit with the last command is held, until whatever else drives the saga has looked at it.

    Meanwhile the deadline of another tenant's saga passes.
    """
    other = Tenant(f"other-{stage.tenant.id}")
    last = f"{stage.saga.steps[-1].name}.{stage.action}"
    committed = postgres.commit(containing=[stage.tenant.id, last])
    with applied(stage, on(stage.orchestrator, DATABASE).when(committed).times(1).hold()) as held:
        saga_id = stage.start()
        held.wait_until_held(WAIT_S)
        looks = on(stage.orchestrator, DATABASE).when(postgres.query(containing=saga_id))
        with applied(stage, looks.observe().preventable()) as seen:
            with suppress(WaitTimeout):
                seen.wait_until_fired(LOOKS_WITHIN_S, LOOKS)
            _wait_given_up(stage, stage.make_input(tenant=other))
            held.release()
            stage.wait_end(saga_id)


def _wait_given_up(stage: Stage, given: SagaInput) -> None:
    """Starts a saga with a deadline that passes at once; one that is quick enough may complete."""
    saga_id = stage.start(given, deadline_s=DEADLINES_S[0], ends=COMPENSATED | COMPLETED)
    ends = [(MessageKind.EVENT, event) for event in (stage.saga.failed, stage.saga.completed)]
    wait_until(
        lambda: any(stage.has(saga_id, end) for end in ends),
        timeout_s=GIVES_UP_WITHIN_S,
        describe=f"saga {saga_id} to give up at its deadline while {stage.orchestrator} is at another one",
    )


def commits_unacknowledged(stage: Stage) -> None:
    """Every service's first commit for the saga is applied, and the service is never told."""
    with ExitStack() as rules:
        for service in services_of(stage.saga):
            committed = postgres.commit(containing=stage.tenant.id)
            lost = on(service, DATABASE).when(committed).times(1).after("[!RE]*").lose_reply()
            rules.enter_context(applied(stage, lost))
        stage.wait_end(start_in_the_end(stage))


def commits_cut_off(stage: Stage) -> None:
    """The connection to the database is reset at every service's first commit for the saga, and at every other one.

    The database does not get it, and so a service may tell nobody of what it was about to commit. Each is made again.
    """
    with ExitStack() as rules:
        for service in services_of(stage.saga):
            committed = on(service, DATABASE).when(postgres.commit(containing=stage.tenant.id))
            rules.enter_context(applied(stage, committed.nth(1).reset()))
            for number in range(3, COMMITS_AT_MOST, 2):
                rules.enter_context(applied(stage, committed.nth(number).reset().preventable()))
        saga_id = start_in_the_end(stage)
        try:
            stage.wait_end(saga_id)
        except PlatformError as error:
            promise, expected = "a start that is said to be accepted has been committed", f"saga {saga_id}"
            stage.anomalies.append(Anomaly("UOW", "told-and-not-done", promise, expected, str(error)))


def statements_cut_off(stage: Stage) -> None:
    """The connection to the database is reset at every statement of the step's transaction, one attempt for each.

    The n-th attempt gets to its n-th statement, so that the statements it is cut off at are the triangular numbers.
    """
    with ExitStack() as rules:
        for number in range(1, STATEMENTS_AT_MOST + 1):
            statement = on(stage.step.participant, DATABASE).when(postgres.query(containing=stage.tenant.id))
            rule = statement.nth(number * (number + 1) // 2).reset()
            rules.enter_context(applied(stage, rule if number == 1 else rule.preventable()))
        stage.wait_end(start_in_the_end(stage))


def statements_refused(stage: Stage) -> None:
    """The database refuses the step's first statement again and again, for one reason that passes after the other."""
    service, repeated = stage.step.participant, stage.platform.requests.repeated
    statement, before = on(service, DATABASE).when(postgres.query(containing=stage.tenant.id)), repeated(service)
    with ExitStack() as rules:
        refusals = [
            rules.enter_context(applied(stage, statement.nth(number).respond(sqlstate=state, message="not now")))
            for number, state in enumerate(postgres.TRANSIENT * ROUNDS, 1)
        ]
        try:
            stage.wait_end(stage.start())
        except WaitTimeout:
            if (tries := sum(one.fired for one in refusals)) > len(postgres.TRANSIENT):
                promise = "who fails for what passes tries again soon, however often that was"
                expected, seen = f"{len(refusals)} tries and one in {WAIT_S:g} s", str(tries)
                stage.anomalies.append(Anomaly("BUS", "tries-too-rarely", promise, expected, seen))
            raise
    if (more := repeated(service) - before) < len(postgres.TRANSIENT):
        promise, expected = "what fails and is tried again is counted where operators look", "one more for each reason"
        stage.anomalies.append(Anomaly("BUS", "not-counted", promise, expected, f"{more:g} more of {service}"))


def reply_late(stage: Stage) -> None:
    """The participant does its step in time, and its reply arrives when the orchestrator has asked to undo the step.

    The participant is frozen meanwhile, so that nothing else can be taken for its answer to that, and is asked on.
    """
    _answer_late(stage, stage.make_input())


def refusal_late(stage: Stage) -> None:
    """As `reply_late`, at the last step for which that can be: it is refused, and undoing it would be refused too.

    Of another saga the first step is refused, and the orchestrator is killed when that it failed is durable.
    """
    _killed_when_failed(stage)
    twice = [step for step in undoable(stage.saga) if step.refusal and step.compensation and step.compensation.refusal]
    for step in twice[-1:]:
        given = stage.make_input()
        with stage.access.refuse(step.name, given), undo_refused(stage, step, given):
            _answer_late(stage.at(step), given)


def _killed_when_failed(stage: Stage) -> None:
    """Nothing has to be undone: the saga is over with that commit, and all that tells so is in it."""
    refuser, given = next(step for step in stage.saga.steps if step.refusal), stage.make_input()
    failed = postgres.commit(containing=[stage.tenant.id, stage.saga.failed])
    stage.disturbances.append("killed")
    with (
        stage.access.refuse(refuser.name, given),
        killed_at(stage.cell, stage.orchestrator, on(stage.orchestrator, DATABASE).when(failed).after()) as fault,
    ):
        saga_id = stage.start(given, ends=COMPENSATED, refused=refuser)
        fault.wait(timeout_s=WAIT_S)
        fault.heal()
        stage.wait_end(saga_id)


def _answer_late(stage: Stage, given: SagaInput) -> None:
    step = stage.step
    reply = kafka.produce(containing=[stage.tenant.id, f"{step.name}.{stage.action}"])
    for deadline_s in DEADLINES_S:
        held_back = on(step.participant, BROKER).when(reply).times(1).hold().preventable()
        with applied(stage, held_back) as held:
            saga_id = stage.start(given, deadline_s=deadline_s, ends=COMPENSATED)
            if in_time := held.holds_within(deadline_s):
                with suspended(stage, step.participant):
                    stage.command(saga_id, step, COMPENSATE)
                    held.release()
                    stage.reply(saga_id, step)
                    stage.command_again(saga_id, step, COMPENSATE)
        stage.wait_end(saga_id)
        if in_time:
            return
    raise FaultNotObserved(f"{step.name} was answered before no deadline up to {DEADLINES_S[-1]:g} s")


def start_answer_lost(stage: Stage) -> None:
    """The saga is started, and the user is never told."""
    posted = http.request(method="POST", containing=stage.tenant.id)
    with applied(stage, on(CLIENT, "*").when(posted).times(1).after("2*").lose_reply()):
        stage.wait_end(start_in_the_end(stage))


def start_in_the_end(stage: Stage) -> str:
    """Starts the saga as a user does who asks again, under the same key, until there is an answer: the saga's id."""
    given, key = stage.make_input(), f"key-{stage.tenant.id}"
    for _ in range(STARTS_AT_MOST):
        try:
            return stage.start(given, key=key)
        except StartRefused:
            raise
        except PlatformError:
            continue
    raise FaultNotHealed(f"none of {STARTS_AT_MOST} starts under one key was answered")


@contextmanager
def applied(stage: Stage, rule: Rule) -> Iterator[AppliedRule]:
    """See `airproof.faults.wire.applied`."""
    stage.disturbances.append(rule.action.kind)
    fault: AbstractContextManager[AppliedRule] = wire.applied(stage.cell, rule)
    with fault as in_force:
        yield in_force
