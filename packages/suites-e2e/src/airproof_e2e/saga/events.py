"""What scenarios do to the events of a saga that a service keeps a figure from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from airproof.checkers.outbox import CAUSE, said
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import witness
from airproof.faults.process import NodeFault
from airproof.platform.driver import Tenant, Write
from airproof.platform.manifest import Step, Subscription
from airproof.platform.observation import BusMessage, MessageKind
from airproof.waiting import wait_until
from airproof.wire import AppliedRule, Rule, on, postgres
from airproof_e2e.saga.breakage import (
    UNEXPECTED,
    aged,
    break_off_writes,
    demand_clean_exit,
    event_forged,
    expelled,
    frozen_at_rest,
    given_up_over,
    held,
    killed,
    letter_sent,
    publishing_refused,
    redelivered,
    stopped,
    suspended,
    undo_refused,
)
from airproof_e2e.saga.letters import demand_letters
from airproof_e2e.saga.messages import DATABASE, applied
from airproof_e2e.saga.moments import last_refusable, undoable
from airproof_e2e.saga.parking import send_again, wait_parked
from airproof_e2e.saga.stage import COMPENSATED, FAILED, WAIT_S, Stage

TWO, THREE = 2, 3
LETTER_DAYS = 30
"""How old a dead letter may be when somebody has found out what was wrong."""


def repeated(stage: Stage) -> None:
    """An event is delivered again at once, when the saga is over, and after days, in which others have come."""
    saga_id, event = _told(stage)
    redelivered(stage, event)
    stage.wait_end(saga_id)
    redelivered(stage, event)
    aged(stage, _subscription(stage).service)
    stage.wait_end(stage.start())
    stage.cell.barrier(WAIT_S)
    for _ in range(TWO):
        redelivered(stage, event)


def forged(stage: Stage) -> None:
    """What an event tells of one tenant's user is told in another tenant's name."""
    saga_id, event = _told(stage)
    stage.wait_end(saga_id)
    stage.cell.barrier(WAIT_S)
    before = stage.access.observe(stage.tenant).figures
    event_forged(stage, event, Tenant(f"{stage.tenant.id}-other"))
    stage.cell.barrier(WAIT_S)
    after = stage.access.observe(stage.tenant).figures
    if after != before:
        promise = "nothing that is told in one tenant's name moves a figure of another"
        was, now = (
            ", ".join(f"{one.name} {one.shown} of {one.subject}" for one in some if one not in others) or "no figure"
            for some, others in ((before, after), (after, before))
        )
        stage.anomalies.append(Anomaly("TENANCY", "figure-of-another", promise, was, now))


def broken_off(stage: Stage) -> None:
    """The transaction in which an event is counted is cut off at each of its writes, and the event comes again."""
    with _about_to_be_told(stage, 1) as (_, go_on):
        break_off_writes(stage, _subscription(stage).service, go_on, writes=(Write.EVENT_INBOX, Write.BUSINESS))


def told_in_reverse(stage: Stage) -> None:
    """Where figures are kept from what was done and undone, who keeps them learns that it was undone first.

    So it is where what carries the figure is there still, and where it is gone by then.
    """
    for step in undoable(stage.saga):
        for one in stage.platform.manifest.subscriptions:
            if step.compensation and one.event == step.compensation.event:
                about = replace(stage, subject=one)
                for kept in ([_kept(about)], []):
                    _tell_in_reverse(about, step, (step.compensation.event, step.event), kept)


def stopped_while_failing(stage: Stage) -> None:
    """Of three events the second fails again and again, and who keeps the figure is told to shut down over it.

    Before that its database refuses to count the first one, once for each reason that passes and once for one that
    nobody expects, and is cut off from it when that is to be committed.
    """
    event_type, keeper = _subscription(stage).event, _subscription(stage).service
    with _about_to_be_told(stage, THREE) as (saga_ids, go_on), stopped(stage, keeper) as down, ExitStack() as rules:
        go_on()
        told = [(stage.wait_for(saga_id, (MessageKind.EVENT, event_type)), saga_id) for saga_id in saga_ids]
        (first, counted), (second, _), _ = sorted(told, key=lambda one: one[0].offset)
        failing = on(keeper, DATABASE).when(postgres.query(containing=second.message_id)).reset()
        failed = rules.enter_context(applied(stage, failing))
        for not_now in (*_counting_refused(stage, counted), _commit_cut_off(stage, first)):
            rules.enter_context(applied(stage, not_now))
        down.heal()
        failed.wait_until_fired(WAIT_S, TWO)
        with stopped(stage, keeper) as down_again:
            demand_clean_exit(stage, down_again)
            rules.close()


def beside_a_command(stage: Stage) -> None:
    """An event and a command come together for who keeps a figure, who is killed when one of them is handled.

    The orchestrator is frozen then: its asking again must not hide what was lost.
    """
    for one in _told_forward(stage):
        about = replace(stage, subject=one)
        step, link = _kept(about), on(one.service, DATABASE)
        with _about_to_be_told(about, 1) as ((told,), go_on), killed(stage, one.service) as down, ExitStack() as stack:
            go_on()
            event = stage.wait_for(told, (MessageKind.EVENT, one.event))
            asked = stage.start()
            stage.command(asked, step)
            stack.enter_context(suspended(stage, stage.orchestrator))
            handling = [
                link.when(postgres.query(containing=what)).times(1).hold() for what in (event.message_id, asked)
            ]
            holds = [stack.enter_context(applied(stage, rule)) for rule in handling]
            down.heal()
            in_hand = f"{one.service} to have one of the two in hand"
            first, *_ = wait_until(partial(_holding, holds), timeout_s=WAIT_S, describe=in_hand)
            first.release()
            (second,) = (hold for hold in holds if hold is not first)
            second.wait_until_held(WAIT_S)
            with killed(stage, one.service):
                pass
            stage.reply(asked, step)
        stage.wait_end(asked)


def _holding(holds: Sequence[AppliedRule]) -> list[AppliedRule]:
    return [hold for hold in holds if hold.is_holding]


def given_up(stage: Stage) -> None:
    """Who keeps a figure cannot count events, each for another reason that does not pass, and gives them up.

    One is sent again too early, and given up for the next one's reason. When it can count again, an operator sends all
    of them, weeks later. Counting one fails once more: how often others have failed before is nothing to it.
    """
    for one in _told_forward(stage):
        about, reasons = replace(stage, subject=one), postgres.FOR_GOOD
        with _about_to_be_told(about, len(reasons)) as (saga_ids, go_on):
            with ExitStack() as broken:
                for saga_id, reason in zip(saga_ids, reasons, strict=True):
                    counted = postgres.statement(containing=_carrying(about, saga_id))
                    never = on(one.service, DATABASE).when(counted).respond(sqlstate=reason, message="broken")
                    # Behind one that is tried for ever nobody comes to the others.
                    broken.enter_context(given_up_over(stage, one.service, never.preventable()))
                go_on()
                told = [stage.wait_for(saga_id, (MessageKind.EVENT, one.event)) for saga_id in saga_ids]
                events = {event.message_id: event for event in told}
                stage.allowance.parked.update(events)
                letters = demand_letters(stage, one.service, events.values(), "CQRS")
            again = on(one.service, DATABASE).when(postgres.statement(containing=_carrying(about, saga_ids[0])))
            if letters:
                with given_up_over(stage, one.service, again.respond(sqlstate=reasons[1], message="broken")):
                    _demand_told_anew(stage, one.service, saga_ids[0], letters[0], events[letters[0].message_id])
            with applied(stage, again.times(1).respond(sqlstate=UNEXPECTED, message="not now")) as refused:
                for letter in letters:
                    letter_sent(stage, letter, events[letter.message_id], days=LETTER_DAYS)
                refused.wait_until_fired(WAIT_S)


def _demand_told_anew(stage: Stage, service: str, saga_id: str, letter: BusMessage, event: BusMessage) -> None:
    """A dead letter that is sent again and given up for another reason tells that reason."""
    letter_sent(stage, letter, event, days=0)
    again = wait_until(
        lambda: [
            one
            for one in stage.platform.bus.messages(saga_id)
            if one.kind is MessageKind.DEAD_LETTER and one.message_id == letter.message_id
        ][1:],
        timeout_s=WAIT_S,
        describe=f"{service} to give up once more what an operator has sent it too early",
    )[0]
    if (told := said(again, CAUSE)) in {"", said(letter, CAUSE)}:
        promise, expected = "whoever looks after what was given up is told why it was the last time", "another cause"
        stage.anomalies.append(Anomaly("OUTBOX", "old-cause", promise, expected, told or "none", witness([again])))


def redelivered_to_each_instance(stage: Stage) -> None:
    """An event is delivered again to every instance of who keeps the figure, while the others are down."""
    keeper = _subscription(stage).service
    saga_id, event = _told(stage)
    stage.wait_end(saga_id)
    stage.cell.barrier(WAIT_S)
    instances = [node.name for node in stage.cell.description.instances(keeper)]
    with ExitStack() as stack:
        down = [stack.enter_context(killed(stage, name)) for name in instances]
        for alone in down:
            stage.access.rewind(keeper, event.topic, event)
            alone.heal()
            stage.cell.barrier(WAIT_S)
            if alone is not down[-1]:
                stack.enter_context(killed(stage, alone.node))


def shared_anew(stage: Stage) -> None:
    """While an instance has an event in hand another one is lost, and their part shared anew; then it is lost too."""
    for one in _told_forward(stage):
        with held(stage, one.service, Write.EVENT_INBOX) as block, ExitStack() as stack:
            saga_id = stage.start()
            block.wait_blocked(timeout_s=WAIT_S)
            holder = block.node()
            others = [node.name for node in stage.cell.description.instances(one.service) if node.name != holder]
            down = [stack.enter_context(killed(stage, other)) for other in others]
            for other in others:
                expelled(stage, one.service, other)
            down.append(stack.enter_context(killed(stage, holder)))
            block.release()
            with ThreadPoolExecutor(len(down), thread_name_prefix="start") as starters:
                list(starters.map(NodeFault.heal, down))
        stage.wait_end(saga_id)


def _told_forward(stage: Stage) -> list[Subscription]:
    done = {step.event for step in stage.saga.steps}
    return [one for one in stage.platform.manifest.subscriptions if one.event in done]


def raced(stage: Stage) -> None:
    """Each event that is told forward reaches two instances of who keeps a figure from it, at the same time.

    Then the one is told that there is one thing more, and the other one that there is one less.
    """
    for one in _told_forward(stage):
        with held(stage, one.service, Write.EVENT_INBOX) as block:
            saga_id = stage.start()
            event = stage.wait_for(saga_id, (MessageKind.EVENT, one.event))
            block.wait_blocked(timeout_s=WAIT_S)
            redelivered(stage, event, elsewhere=True)
            both = f"two instances of {one.service} to have the event"
            wait_until(lambda: block.waiting() >= TWO, timeout_s=WAIT_S, describe=both)
        stage.wait_end(saga_id)
        _changed_at_once(stage, one, event)


def _changed_at_once(stage: Stage, told: Subscription, event: BusMessage) -> None:
    """Two instances have looked at a figure, or are about to, when one has to add to it and the other to take away."""
    stage.cell.barrier(WAIT_S)
    figures = (told.service, told.figure)
    others = [one for one in stage.platform.manifest.subscriptions if (one.service, one.figure) == figures]
    with held(stage, told.service, Write.BUSINESS) as block:
        for number, one in enumerate(others):
            event_forged(stage, replace(event, type=one.event), stage.tenant, elsewhere=bool(number))
        both = f"{len(others)} instances of {told.service} to change the {told.figure} of one user"
        wait_until(lambda: block.waiting() >= len(others), timeout_s=WAIT_S, describe=both)
    stage.cell.barrier(WAIT_S)
    wrong = [one for one in stage.access.observe(stage.tenant).figures if one.shown != one.actual]
    if wrong:
        promise = "of changes of one figure that come at the same time none is lost"
        expected, seen = f"{wrong[0].name} {wrong[0].actual}", f"{wrong[0].shown} at {told.service}"
        stage.anomalies.append(Anomaly("DBTX", "lost-update", promise, expected, seen, (wrong[0].subject,)))


def _subscription(stage: Stage) -> Subscription:
    if not isinstance(stage.subject, Subscription):
        raise TypeError("this scenario is about a subscription")
    return stage.subject


def _doer(stage: Stage) -> Step | None:
    """The step that the event tells of; None if it tells that one is undone."""
    return next((step for step in stage.saga.steps if step.event == _subscription(stage).event), None)


def _kept(stage: Stage) -> Step:
    """The step whose effect carries the figure; it may not be undone where the figure is to be seen."""
    return next(step for step in stage.saga.steps if step.participant == _subscription(stage).service)


def _tell_in_reverse(stage: Stage, step: Step, wanted: Sequence[str], kept: Sequence[Step]) -> None:
    """The broker refuses what the participant tells; an operator has it sent again in the order that is wanted."""
    refuser, given, keeper = last_refusable(stage), stage.make_input(), _subscription(stage).service
    before = stage.platform.requests.given_up(keeper)
    with (
        ExitStack() as undoing,
        stage.access.refuse(refuser.name, given),
        publishing_refused(stage, step.participant, step.event),
    ):
        for one in kept:
            undoing.enter_context(undo_refused(stage, one, given))
        ends = FAILED if kept else COMPENSATED
        saga_id = stage.start(given, ends=ends, refused=refuser, kept=kept)
        stage.wait_end(saga_id)
        rows = wait_parked(stage, step.participant)
    letters = [stage.platform.bus.wait_dead_letter(row.message_id, timeout_s=WAIT_S).type for row in rows]
    for event_type in wanted:
        send_again(
            stage, step.participant, [row for row, told in zip(rows, letters, strict=True) if told == event_type]
        )
        stage.wait_for(saga_id, (MessageKind.EVENT, event_type))
    stage.cell.barrier(WAIT_S)
    if more := stage.platform.requests.given_up(keeper) - before:
        promise = "who keeps a figure takes whatever is told, also of what is gone by then"
        seen = f"{more:g} dead letters of {keeper}"
        stage.anomalies.append(Anomaly("BUS", "given-up", promise, "none", seen, (f"saga {saga_id}",)))


def _counting_refused(stage: Stage, saga_id: str) -> Iterator[Rule]:
    """The database refuses to change the figure that the saga's effect carries, once for each reason that passes.

    Then it does so once for a reason that nobody expects, and when it does not, the change gets lost at its commit.
    """
    keeper, carrying = _subscription(stage).service, _carrying(stage, saga_id)
    counted = on(keeper, DATABASE).when(postgres.statement(containing=carrying))
    for number, state in enumerate((*postgres.TRANSIENT, UNEXPECTED), 1):
        refused = counted.times(1).respond(sqlstate=state, message="not now")
        # Who does not try again does not get to the next one.
        yield refused if number == 1 else refused.preventable()
    yield on(keeper, DATABASE).when(postgres.commit(containing=carrying)).times(1).reset().preventable()


def _commit_cut_off(stage: Stage, event: BusMessage) -> Rule:
    """That the event was handled gets lost at its commit."""
    handled = postgres.commit(containing=event.message_id)
    return on(_subscription(stage).service, DATABASE).when(handled).times(1).reset().preventable()


def _carrying(stage: Stage, saga_id: str) -> str:
    """The id of the saga's effect that carries the figure."""
    carrying = stage.access.effect(_kept(stage).name, saga_id)
    return carrying.id if carrying else saga_id


def _told(stage: Stage) -> tuple[str, BusMessage]:
    """A saga, and its event on the bus. One that tells of an undoing is of a saga that is undone but for the figure."""
    if _doer(stage):
        saga_id = stage.start()
    else:
        refuser, given, kept = last_refusable(stage), stage.make_input(), _kept(stage)
        with stage.access.refuse(refuser.name, given), undo_refused(stage, kept, given):
            saga_id = stage.start(given, ends=FAILED, refused=refuser, kept=[kept])
            stage.wait_end(saga_id)
    return saga_id, stage.wait_for(saga_id, (MessageKind.EVENT, _subscription(stage).event))


@contextmanager
def _about_to_be_told(stage: Stage, count: int) -> Iterator[tuple[Sequence[str], Callable[[], None]]]:
    """So many sagas are where who leads to the event is asked and frozen. Yields their ids and what lets them go on."""
    doer, refuser, kept = _doer(stage), last_refusable(stage), _kept(stage)
    given = [stage.make_input() for _ in range(count)]
    with ExitStack() as stack:
        if doer is None:
            stack.enter_context(undo_refused(stage, kept, given[0]))
            for one in given:
                stack.enter_context(stage.access.refuse(refuser.name, one))
        waiting = stack.enter_context(frozen_at_rest(stage, (doer or refuser).participant))
        start = stage.start if doer else partial(stage.start, ends=FAILED, refused=refuser, kept=[kept])
        saga_ids = [start(one) for one in given]
        for saga_id in saga_ids:
            stage.command(saga_id, doer or refuser)
        yield saga_ids, waiting.heal
        for saga_id in saga_ids:
            stage.wait_end(saga_id)
