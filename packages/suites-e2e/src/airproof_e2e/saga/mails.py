"""What scenarios do to the mail of a saga: a server that is away, hangs, forgets, refuses, or hangs up."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from airproof.checkers.verdict import Anomaly
from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, WaitTimeout
from airproof.faults import wire
from airproof.platform.driver import Tenant, Write
from airproof.platform.observation import MessageKind
from airproof.waiting import wait_until
from airproof.wire import established, on, smtp
from airproof_e2e.saga.breakage import LOOK_AGAIN_S, held, killed, mails_left, suspended
from airproof_e2e.saga.messages import MAIL, applied
from airproof_e2e.saga.moments import demand_logged, demand_silence
from airproof_e2e.saga.shutdowns import TRIES, shut_down_over
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

PUT_OFF = {"MAIL": 451, "RCPT": 450, "DATA": 452}
EXPLAINED = f"no {'and why that is so ' * 20}"
"""As much as a mail server may say in one line."""
OFTEN, SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 50, 1.0, 30.0
NO_LONGER_S = 4.0
HANGS_UP_WITHIN_S, MORE_WITHIN_S, ENDS_WITHIN_S = 1.0, 0.3, 1.0
COMES_WITHIN_S, BEGINS_ANEW_S = 2.0, 0.5
COMES_AT_LEAST = 4
"""Of so many times once when it is looked for: not when it is just sending."""
MANY = 20
"""More mails than are sent at a time."""


def server_down(stage: Stage) -> None:
    """The mail server is not there when the mail is to be sent, and has not been for long, as far as one can tell.

    Many other mails have been tried in vain, too.
    """
    mails, others = stage.platform.mails, Tenant(f"{stage.tenant.id}-others")
    with killed(stage, Role.SMTP.value):
        saga_id = stage.start()
        _wait_put_off(stage, stage.tenant)
        demand_logged(stage, saga_id)
        mails.tried_often(stage.tenant, OFTEN)
        pause_s = _wait_put_off(stage, stage.tenant)
        if not SHORTEST_PAUSE_S <= pause_s <= LONGEST_PAUSE_S:
            promise = "a mail that its server does not take is tried more and more rarely, but soon enough"
            expected = f"{SHORTEST_PAUSE_S:g} to {LONGEST_PAUSE_S:g} s after {OFTEN} tries"
            stage.anomalies.append(Anomaly("XSERVICE", "no-back-off", promise, expected, f"{pause_s:.1f} s"))
        if (tries := mails.tries(stage.tenant)) and max(tries) <= OFTEN:
            promise, seen = "whatever is tried again and again is counted", f"{max(tries)} tries after {OFTEN} and one"
            stage.anomalies.append(Anomaly("XSERVICE", "tries-not-counted", promise, f"{OFTEN + 1} or more", seen))
        with mails_left(stage, others, MANY, known=True):
            in_vain = f"{MANY} mails to be tried in vain"
            wait_until(lambda: all(mails.tries(others)), timeout_s=WAIT_S, describe=in_vain)
    mails.make_due(stage.tenant)
    try:
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.step.event), timeout_s=NO_LONGER_S)
    except WaitTimeout as error:
        promise, expected = "an outage that is over delays no mail any more", f"it is sent within {NO_LONGER_S:g} s"
        stage.anomalies.append(Anomaly("XSERVICE", "slow-ever-after", promise, expected, str(error)))


def _wait_put_off(stage: Stage, tenant: Tenant) -> float:
    """Waits until the one mail of the tenant is put off, and returns for how long."""

    def put_off() -> float:
        return next((wait for wait in stage.platform.mails.waits(tenant) if wait > 0), 0.0)

    return wait_until(put_off, timeout_s=WAIT_S, describe="the mail to be put off", longest_interval_s=LOOK_AGAIN_S)


def accepted_and_forgotten(stage: Stage) -> None:
    """The participant is killed when the mail server has the mail, before it notes that."""
    step = stage.step
    with held(stage, step.participant, Write.EVENT) as block:
        saga_id = stage.start()
        block.wait_blocked(timeout_s=WAIT_S)
        demand_silence(stage, saga_id)
        with killed(stage, step.participant):
            block.release()


def answer_lost(stage: Stage) -> None:
    """The mail server takes the mail, and the service is never told."""
    with applied(stage, on(stage.step.participant, MAIL).when(smtp.message()).times(1).after("250").lose_reply()):
        stage.wait_end(stage.start())


def stopped_in_hand(stage: Stage) -> None:
    """The service is told to shut down when the mail server has the mail and has not said so, which it does then."""
    if not any(_sent_once(stage) for _ in range(TRIES)):
        promise = "a service that is told to shut down hears its mail server out, so that no mail is sent twice"
        expected, seen = f"one mail, in one of {TRIES} tries", "more, each time"
        stage.anomalies.append(Anomaly("SAGA", "mail-twice", promise, expected, seen, (stage.step.participant,)))


def _sent_once(stage: Stage) -> bool:
    given, taken = stage.make_input(), on(stage.step.participant, MAIL).when(smtp.message()).times(1).after("250")
    with applied(stage, taken.hold()) as held_up:
        saga_id = stage.start(given)
        held_up.wait_until_held(WAIT_S)
        shut_down_over(stage, stage.step.participant, held_up.release, lambda: None)
    stage.wait_end(saga_id)
    return sum(mail.recipient == given.subject for mail in stage.access.observe(stage.tenant).mails) == 1


def put_off(stage: Stage) -> None:
    """The mail server says at one command after the other, at length, that it cannot take the mail now, and whose."""
    given, link = stage.make_input(), on(stage.step.participant, MAIL)
    with ExitStack() as rules:
        for number, (command, code) in enumerate(PUT_OFF.items()):
            later = link.when(smtp.command(command)).times(1).respond(code=code, text=f"<{given.subject}>: {EXPLAINED}")
            rules.enter_context(applied(stage, later.preventable() if number else later))
        stage.wait_end(stage.start(given))
    _demand_hung_up(stage)


def rejected_early_or_late(stage: Stage) -> None:
    """The mail server says of one mail at its sender, of another at its text, that it will never take it."""
    link = on(stage.step.participant, MAIL)
    with ExitStack() as rules:
        for command in ("MAIL", "DATA"):
            never = link.when(smtp.command(command)).times(1).respond(code=554, text=EXPLAINED)
            rules.enter_context(applied(stage, never))
        named = rules.enter_context(applied(stage, link.when(smtp.rcpt()).observe()))
        for saga_id in [stage.start(ends=COMPENSATED, refused=stage.step) for _ in range(2)]:
            stage.wait_end(saga_id)
    _demand_hung_up(stage)
    if named.fired > 1:
        promise, expected = "a mail that is rejected for good is not tried again", "the recipient of one is named, once"
        stage.anomalies.append(Anomaly("XSERVICE", "tried-in-vain", promise, expected, f"{named.fired} times"))


def _demand_hung_up(stage: Stage) -> None:
    """Who has no mail to send has no connection to the mail server either, however the mails before have ended."""

    def connections() -> int:
        there = on(stage.step.participant, MAIL).when(established()).observe().preventable()
        with wire.applied(stage.cell, there) as seen:
            return seen.fired

    try:
        wait_until(lambda: not connections(), timeout_s=HANGS_UP_WITHIN_S, describe="the mail service to hang up")
    except WaitTimeout:
        promise = "who has sent a mail, or could not, hangs up"
        expected, seen = f"no connection after {HANGS_UP_WITHIN_S:g} s", f"{connections()} to the mail server"
        stage.anomalies.append(Anomaly("PERF", "connection-left", promise, expected, seen))


def rejected_and_forgotten(stage: Stage) -> None:
    """The participant is killed when the mail server has rejected the mail, before it notes and tells that."""
    step, given = stage.step, stage.make_input()
    with stage.access.refuse(step.name, given), held(stage, step.participant, Write.INBOX) as block:
        saga_id = stage.start(given, ends=COMPENSATED, refused=step)
        block.wait_blocked(timeout_s=WAIT_S)
        demand_silence(stage, saga_id)
        with killed(stage, step.participant):
            block.release()
        stage.wait_end(saga_id)


def lost(stage: Stage) -> None:
    """The mail server hangs up before it has the mail: once at the recipient, once at the mail itself."""
    given = stage.make_input()
    with ExitStack() as rules:
        for message in (smtp.rcpt(containing=given.subject), smtp.message()):
            rules.enter_context(applied(stage, on(stage.step.participant, MAIL).when(message).times(1).reset()))
        stage.wait_end(stage.start(given))


def hangs(stage: Stage) -> None:
    """The mail server hangs at one mail, which is asked for again; another one it takes, and is closing just then.

    Then the service loses its database when it comes to take a third one.
    """
    first, second, link = stage.make_input(), stage.make_input(), on(stage.step.participant, MAIL)
    closing = link.when(smtp.command("QUIT")).times(1).respond(code=421).preventable()
    stage.allowance.mails_once = True
    with (
        applied(stage, link.when(smtp.rcpt(containing=first.subject)).hold()) as held_up,
        applied(stage, closing),
    ):
        waiting = stage.start(first)
        held_up.wait_until_held(WAIT_S)
        stage.command(waiting, stage.step, count=2)
        _demand_no_transaction(stage)
        stage.wait_for(stage.start(second), (MessageKind.EVENT, stage.saga.completed), timeout_s=NO_LONGER_S)
        _begin_anew(stage)
        held_up.release()
        stage.wait_end(waiting)


def _begin_anew(stage: Stage) -> None:
    """The service's connection to its database breaks when it comes to take a mail, while it has another in hand.

    It is given a moment to take up again what it has in hand.
    """
    other = Tenant(f"{stage.tenant.id}-others")
    given, link = stage.make_input(tenant=other), on(stage.step.participant, MAIL)
    with applied(stage, link.when(smtp.rcpt(containing=given.subject)).respond(code=450)):
        saga_id = stage.start(given)
        if not any(_broken_off(stage, other) for _ in range(COMES_AT_LEAST)):
            raise FaultNotObserved(f"{stage.step.participant} did not come to take a mail, {COMES_AT_LEAST} times")
    with suppress(WaitTimeout):
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.completed), timeout_s=BEGINS_ANEW_S)


def _broken_off(stage: Stage, tenant: Tenant) -> bool:
    """Whether the service came to take the tenant's mail, which was put off, and its connection was cut then."""
    _wait_put_off(stage, tenant)
    with held(stage, stage.step.participant, Write.MAIL_CLAIM) as block, suppress(WaitTimeout):
        block.wait_blocked(timeout_s=COMES_WITHIN_S)
        return bool(block.break_off())
    return False


def _demand_no_transaction(stage: Stage) -> None:
    """Who waits for the mail server keeps no connection to the database from others, and no lock."""
    service = stage.step.participant
    try:
        none = f"{service} to have no transaction open"
        wait_until(lambda: not stage.access.in_transaction(service), timeout_s=ENDS_WITHIN_S, describe=none)
    except WaitTimeout:
        promise, seen = "no mail is sent inside a transaction", f"one open for {ENDS_WITHIN_S:g} s at least"
        expected = f"none while {service} waits for the mail server"
        stage.anomalies.append(Anomaly("OUTBOX", "sends-in-a-transaction", promise, expected, seen))


def among_others(stage: Stage) -> None:
    """More mails wait than are sent at a time, before the saga's own, while the mail server hangs.

    Before all of them wait as many that another version has left, of which none can be sent.
    """
    step, mails, most = stage.step, stage.platform.mails, stage.saga.sends_at_once
    others, unknown = (Tenant(f"{stage.tenant.id}-{whose}") for whose in ("others", "unknown"))

    def in_hand() -> int:
        return sum(map(bool, mails.claimers(others)))

    with mails_left(stage, unknown, MANY, known=False):
        with suspended(stage, Role.SMTP.value), mails_left(stage, others, MANY, known=True):
            saga_id = stage.start()
            stage.command(saga_id, step)
            wait_until(lambda: in_hand() >= most, timeout_s=WAIT_S, describe=f"{most} mails to be in hand")
            with suppress(WaitTimeout):
                wait_until(lambda: in_hand() > most, timeout_s=MORE_WITHIN_S, describe="more to be")
            if (seen := in_hand()) > most:
                promise = "who sends mails has so many connections to the mail server at a time, however many wait"
                stage.anomalies.append(Anomaly("PERF", "too-many-at-once", promise, f"{most}", f"{seen} of {MANY}"))
        stage.wait_end(saga_id)
