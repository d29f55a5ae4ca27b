"""What scenarios break, with its evidence in the history. Nothing is calm any more after any of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, NotReady
from airproof.faults import process, wire
from airproof.faults.process import NodeFault
from airproof.history import Explanation
from airproof.platform.driver import EffectBlock, SagaInput, Tenant, Write
from airproof.platform.manifest import Step
from airproof.platform.observation import BusMessage, OutboxRow
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, Rule, glob, kafka, on
from airproof_e2e.saga.log_lines import count_errors, demand_error
from airproof_e2e.saga.stage import WAIT_S, Stage

UNEXPECTED = "XX001"
"""With which PostgreSQL says what nobody reckons with."""
LOOK_AGAIN_S = 0.01
LATE_S = 3600.0
FREEZES_AT_MOST = 100
KEPT_DAYS = 6
"""How old a message may be when it is delivered again: less than the week for which brokers commonly keep them."""


def killed(stage: Stage, node: str) -> AbstractContextManager[NodeFault]:
    """See `airproof.faults.process.killed`."""
    stage.disturbances.append("killed")
    return process.killed(stage.cell, node)


def stopped(stage: Stage, node: str) -> AbstractContextManager[NodeFault]:
    """See `airproof.faults.process.stopped`."""
    stage.disturbances.append("stopped")
    return process.stopped(stage.cell, node)


def demand_clean_exit(stage: Stage, fault: NodeFault) -> None:
    """Notes an anomaly if a node that was told to shut down did not do so in good order."""
    if fault.state.exit_code != 0:
        promise = "a service that is told to shut down finishes what it does and exits with 0"
        seen = str(fault.state.exit_code)
        stage.anomalies.append(Anomaly("UOW", "unclean-exit", promise, "exit code 0", seen, (fault.node,)))


def stopped_over(stage: Stage, service: str, what: str, then: Callable[[], object] = lambda: None) -> None:
    """Tells the service to shut down while it waits for something in vain, and starts it; anomalies are noted.

    Args:
        then: called when it has exited, before it is started again.
    """
    try:
        with stopped(stage, service) as fault:
            demand_clean_exit(stage, fault)
            then()
    except NotReady as stays:
        promise, facts = "a service that is told to shut down does not wait without a limit", (f"it waits for {what}",)
        stage.anomalies.append(Anomaly("UOW", "stops-not", promise, "it exits", str(stays).partition(";")[0], facts))


def suspended(stage: Stage, node: str) -> AbstractContextManager[NodeFault]:
    """See `airproof.faults.process.suspended`."""
    stage.disturbances.append("suspended")
    return process.suspended(stage.cell, node)


@contextmanager
def frozen_at_rest(stage: Stage, service: str, node: str = "") -> Iterator[NodeFault]:
    """Suspends the service between two transactions: nobody else could have the locks of one that is never ended.

    Args:
        node: the instance, where there are several.

    Raises:
        FaultNotObserved: the service was in a transaction whenever it was looked at.
    """
    for _ in range(FREEZES_AT_MOST):
        with suspended(stage, node or service) as frozen:
            if stage.access.in_transaction(service):
                continue
            yield frozen
            return
    raise FaultNotObserved(f"{service} was in a transaction each of the {FREEZES_AT_MOST} times that it was frozen")


@contextmanager
def held(stage: Stage, service: str, write: Write) -> Iterator[EffectBlock]:
    """Holds the service's transactions at that write."""
    with _declared(stage, f"held at {write.value}", service) as seen, stage.access.block_write(service, write) as block:
        seen("the table is locked")
        yield block


@contextmanager
def commits_held(stage: Stage, service: str) -> Iterator[EffectBlock]:
    """Holds the cell's commits once they are durable; the block tells of the service's."""
    with _declared(stage, "held at commit", service) as seen, stage.access.hold_commits(service) as block:
        seen("commits wait for a standby that is not there")
        yield block


@contextmanager
def undo_refused(stage: Stage, step: Step, given: SagaInput) -> Iterator[None]:
    """Makes the participant refuse to undo the step. Somebody has to look after that, and the log says so."""
    explains = Explanation(stage.saga.orchestrator, logger="*", because="a compensation that fails is an error")
    precondition = stage.access.refuse_compensation(step.name, given)
    with _declared(stage, "undo refused", step.participant, explains) as seen, precondition:
        seen("the precondition is set")
        yield


@contextmanager
def publishing_refused(stage: Stage, service: str, what: str, *, larger_than: int = 0) -> Iterator[None]:
    """Makes the broker refuse (larger) messages; see `BusAccess.refusing`. What the service parks is an error."""
    refusing = stage.platform.bus.refusing(what, larger_than=larger_than)
    with _declared(stage, "publishing refused", service, _parking(service)) as seen, refusing:
        seen(f"the topic of {what} takes no record larger than {larger_than} bytes")
        yield


@contextmanager
def given_up_over(stage: Stage, service: str, rule: Rule) -> Iterator[None]:
    """What the service is told over a wire makes it give something up, which is an error."""
    with _declared(stage, "given up", service, _parking(service)) as seen, wire.applied(stage.cell, rule):
        seen(f"the rule is in force: {rule.action.kind}")
        yield


@contextmanager
def refused_on_the_wire(stage: Stage, row: OutboxRow, reason: str) -> Iterator[None]:
    """Has the broker say that it does not take the message. That the service parks it is logged as an error."""
    message = kafka.produce(topic=glob(f"*{row.topic}"), containing=row.message_id)
    published = on(row.service, Role.KAFKA.value).when(message)
    answered = wire.applied(stage.cell, published.respond(error=reason))
    with _declared(stage, "refused on the wire", row.service, _parking(row.service)) as seen, answered:
        seen(f"the answer is {reason}", id=row.message_id)
        yield


@contextmanager
def stuck_on_the_wire(stage: Stage, service: str) -> Iterator[AppliedRule]:
    """A message of the service is on its way: as long as it comes alone the broker says again and again: not now.

    What is sent in the same request would be told the same, so that gets through with all that is in it. Yields what
    tells whether it came.
    """
    stage.disturbances.append("stuck")
    with ExitStack() as stuck:
        with frozen_at_rest(stage, service):
            (message_id,) = stage.platform.outbox.put_stream(service, stage.tenant, [0])
            stage.allowance.foreign.add(message_id)
            alone = on(service, Role.KAFKA.value).when(kafka.produce(containing=message_id, records=1))
            rule = stuck.enter_context(wire.applied(stage.cell, alone.respond(error="NOT_ENOUGH_REPLICAS")))
        yield rule


def unroutable(stage: Stage, service: str) -> str:
    """Puts a message into the service's outbox that no topic takes. What the service parks is logged as an error."""
    with _declared(stage, "unroutable message", service, _parking(service)) as seen:
        (message_id,) = stage.platform.outbox.put_stream(service, stage.tenant, [0], routable=False)
        seen("it is in the outbox", id=message_id)
    return message_id


def unsendable(stage: Stage, service: str) -> str:
    """Puts a message into the service's outbox that is no record, and one behind it that has to arrive."""
    with _declared(stage, "unsendable message", service, _parking(service)) as seen:
        message_id, behind = stage.platform.outbox.put_unsendable(service, stage.tenant)
        seen("it is in the outbox", id=message_id)
    stage.allowance.foreign.add(behind)
    return message_id


def poison(stage: Stage, service: str, reader: str = "") -> tuple[BusMessage, ...]:
    """Sends the service messages that it cannot process. What it parks is logged as an error.

    Args:
        reader: as who it gets them, if not as itself.
    """
    return _unprocessable(stage, service, lambda: stage.platform.bus.send_poison(reader or service, stage.tenant))


def forged(stage: Stage, saga_id: str, step: Step, other: Tenant) -> tuple[BusMessage, ...]:
    """Sends the orchestrator refusals of the step in another tenant's name. What it parks is logged as an error."""
    return _unprocessable(stage, stage.orchestrator, lambda: stage.access.forge_replies(saga_id, step.name, other))


def forged_commands(stage: Stage, saga_id: str, step: Step, other: Tenant) -> tuple[BusMessage, ...]:
    """Asks the participant for the step of the saga in another tenant's name. What it parks is logged as an error."""
    return _unprocessable(stage, step.participant, lambda: stage.access.forge_commands(saga_id, step.name, other))


def event_forged(stage: Stage, event: BusMessage, of: Tenant, *, elsewhere: bool = False) -> None:
    """Tells what the event does of something else, in the tenant's name, and if asked in another partition."""
    with _declared(stage, "event forged", event.type) as seen:
        sent = stage.access.forge_event(event, of, elsewhere=elsewhere)
        seen("it is on the bus", topic=sent.topic, offset=sent.offset)


def aged(stage: Stage, service: str, days: float = KEPT_DAYS) -> None:
    """Has the service's memory, of messages and sagas, be older: as old as the broker may let the messages become."""
    with _declared(stage, "aged", service) as seen:
        stage.platform.age(service, days)
        seen(f"it is {days:g} days older")


def _unprocessable(stage: Stage, service: str, send: Callable[[], tuple[BusMessage, ...]]) -> tuple[BusMessage, ...]:
    with _declared(stage, "poison messages", service, _parking(service)) as seen:
        messages = send()
        seen("they are on the bus", ids=[message.message_id for message in messages])
    for message in messages:
        stage.allowances[Tenant(message.tenant_id)].parked.add(message.message_id)
    return messages


def group_forgotten(stage: Stage, service: str) -> None:
    """Has the broker forget how far a service that is down has read."""
    with _declared(stage, "group forgotten", service) as seen:
        stage.platform.bus.forget_group(service)
        seen("the group is deleted")


def expelled(stage: Stage, service: str, node: str) -> None:
    """Has the broker share the service's part anew, without an instance that is down."""
    with _declared(stage, "expelled", node) as seen:
        stage.platform.bus.expel(service, node)
        seen("the other instances have its part")


@contextmanager
def timers_late(stage: Stage, saga_id: str) -> Iterator[None]:
    """Nothing of the saga runs out for long, until it goes on."""
    with _declared(stage, "timers late", stage.orchestrator) as seen:
        stage.access.put_off_timers(saga_id, LATE_S)
        seen(f"the next is put off by {LATE_S:g} s", saga=saga_id)
        yield


@contextmanager
def of_another_version(stage: Stage, saga_id: str) -> Iterator[None]:
    """The saga is one that another version has left, which is an error, until the context ends."""
    explains = Explanation(stage.orchestrator, logger="*", because="a saga of another version is an error")
    changed = stage.access.of_another_version(saga_id)
    with _declared(stage, "of another version", stage.orchestrator, explains) as seen, changed:
        seen("its type is unknown", saga=saga_id)
        yield


@contextmanager
def others_waiting(stage: Stage, count: int) -> Iterator[None]:
    """So many older sagas wait, and as many that another version has left; each of these is an error.

    So it is in two tenants, whatever comes first by their names.
    """
    explains = Explanation(stage.orchestrator, logger="*", because="a saga of another version is an error")
    tenants = Tenant(f"0-{stage.tenant.id}"), Tenant(f"{stage.tenant.id}-other")
    logged = count_errors(stage, stage.orchestrator)
    with _declared(stage, "others waiting", stage.orchestrator, explains) as seen, ExitStack() as waiting:
        for tenant in tenants:
            waiting.enter_context(stage.access.waiting(tenant, count))
            seen(f"{count} of this version and {count} of another one", tenant=tenant.id)
        yield
        others = "sagas that another version has left"
        demand_error(stage, stage.orchestrator, others, count=logged + count * len(tenants))


@contextmanager
def sent_as_another(stage: Stage, *, newer: bool) -> Iterator[None]:
    """All services send for the tenant what another version of them would, a newer one or an older one."""
    version, sent = "newer" if newer else "older", stage.platform.outbox.sent_as_another(stage.tenant, newer=newer)
    with _declared(stage, "another version", version) as seen, sent:
        seen("what is sent is changed", tenant=stage.tenant.id)
        yield


def redelivered(stage: Stage, message: BusMessage, *, days: float = 0, elsewhere: bool = False) -> BusMessage:
    """Sends the record once more: so many days older, or to another partition."""
    with _declared(stage, "redelivered", message.type) as seen:
        copy = stage.access.redeliver(message, days=days, elsewhere=elsewhere)
        seen("the copy is on the bus", topic=copy.topic, offset=copy.offset)
    return copy


def letter_sent(stage: Stage, letter: BusMessage, to: BusMessage, *, days: float) -> None:
    """An operator sends what was given up once more to who gave it up, so many days later."""
    with _declared(stage, "letter sent", to.type) as seen:
        copy = stage.platform.bus.send_letter(letter, to, days=days)
        seen("it is on the bus", topic=copy.topic, offset=copy.offset)


def break_off_writes(
    stage: Stage,
    service: str,
    begin: Callable[[], None],
    look: Callable[[], None] = lambda: None,
    done: Callable[[], object] = lambda: None,
    writes: Sequence[Write] = (Write.OUTBOX, Write.INBOX),
) -> None:
    """Cuts the connection of the service's transaction at each of the writes, in whatever order they come.

    Args:
        begin: lets the service begin, when all are held.
        look: called while a transaction waits at one of them.
        done: whether the service has done its work all the same.
    """
    with ExitStack() as stack:
        blocks = [stack.enter_context(held(stage, service, write)) for write in writes]
        begin()
        while blocks:
            reached = wait_until(
                lambda: next((block for block in blocks if block.waiting()), done()),
                timeout_s=WAIT_S,
                describe=f"{service} to write",
                longest_interval_s=LOOK_AGAIN_S,
            )
            if reached not in blocks:
                return
            look()
            reached.break_off()
            reached.release()
            blocks.remove(reached)


@contextmanager
def mails_left(stage: Stage, tenant: Tenant, count: int, *, known: bool) -> Iterator[None]:
    """So many mails of the tenant wait before all others; of those that nobody can send each is an error."""
    explains = Explanation(stage.step.participant, logger="*", because="a mail of another version is an error")
    left = stage.platform.mails.left(tenant, count, known=known)
    with _declared(stage, "mails left", stage.step.participant, explains) as seen, left:
        seen(f"{count} wait", known=known)
        yield
        if not known:
            demand_error(stage, stage.step.participant, "mails that another version has left")


def _parking(service: str) -> Explanation:
    return Explanation(service, logger="*", because="a message that is parked is an error")


@contextmanager
def _declared(stage: Stage, kind: str, target: str, *explains: Explanation) -> Iterator[Callable[..., None]]:
    """A fault of the scenario's own; yields what takes its evidence."""
    stage.disturbances.append(kind)
    with stage.cell.history.fault(kind, target, explains=explains) as record:
        try:
            yield record.evidence
        finally:
            record.healed("it is over")
