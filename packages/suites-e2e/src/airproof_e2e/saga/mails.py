"""What scenarios do to the mail of a saga: a server that is away, hangs, forgets, refuses, or hangs up."""

from __future__ import annotations

from contextlib import ExitStack

from airproof.environment.topology import Role
from airproof.platform.driver import Write
from airproof.platform.observation import MessageKind
from airproof.wire import on, smtp
from airproof_e2e.saga.breakage import held, killed
from airproof_e2e.saga.messages import MAIL, applied
from airproof_e2e.saga.moments import demand_silence
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

PUT_OFF = 3
NO_LONGER_S = 4.0


def server_down(stage: Stage) -> None:
    """The mail server is not there when the mail is to be sent."""
    with killed(stage, Role.SMTP.value):
        stage.command(stage.start(), stage.step)


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


def put_off(stage: Stage) -> None:
    """The mail server says again and again that it cannot take the mail just now."""
    later = smtp.rcpt(containing=stage.tenant.id)
    rule = on(stage.step.participant, MAIL).when(later).times(PUT_OFF).respond(code=450)
    with applied(stage, rule) as answered:
        stage.wait_end(stage.start())
        answered.wait_until_fired(WAIT_S, PUT_OFF)


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
    with ExitStack() as rules:
        for message in (smtp.rcpt(containing=stage.tenant.id), smtp.message()):
            rules.enter_context(applied(stage, on(stage.step.participant, MAIL).when(message).times(1).reset()))
        stage.wait_end(stage.start())


def hangs(stage: Stage) -> None:
    """The mail server hangs at one mail, which is asked for again, and takes another one meanwhile."""
    first, second = stage.make_input(), stage.make_input()
    recipient = smtp.rcpt(containing=first.subject)
    stage.allowance.mails_once = True
    with applied(stage, on(stage.step.participant, MAIL).when(recipient).hold()) as held_up:
        waiting = stage.start(first)
        held_up.wait_until_held(WAIT_S)
        stage.command(waiting, stage.step, count=2)
        stage.wait_for(stage.start(second), (MessageKind.EVENT, stage.saga.completed), timeout_s=NO_LONGER_S)
        held_up.release()
        stage.wait_end(waiting)
