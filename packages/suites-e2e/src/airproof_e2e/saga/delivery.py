"""Families about delivery and timers: events, who takes them, claims, what is parked, mails, an outage."""

from __future__ import annotations

from airproof.environment.topology import CellKind
from airproof_e2e.saga import events, instances, mails, messages, outages, parking, timers, unprocessable
from airproof_e2e.saga.family import ATOMIC, CRASH, RELAY, TWICE, Family, Per

PARKED = ("OUT-4", "FI-4")

EVENTS = (
    Family(
        "event-stopped-while-failing",
        Per.SUBSCRIPTION,
        events.stopped_while_failing,
        "{subject} is counted though the service is shut down while it fails to, and so is what came with it",
        (*CRASH, "EB-2"),
        tests="BUS",
        cell=CellKind.WIRED,
    ),
    Family(
        "event-beside-command",
        Per.SAGA,
        events.beside_a_command,
        "an event and a command that come together are both handled though who takes them is killed between the two",
        (*CRASH, "EB-2"),
        tests="BUS",
        cell=CellKind.WIRED,
    ),
    Family(
        "event-given-up",
        Per.SAGA,
        events.given_up,
        "an event that its keeper can never count is given up, and counted when an operator sends the letter once more",
        ("OUT-4", "EB-2", "FI-4"),
        tests="BUS",
        cell=CellKind.WIRED,
    ),
    Family(
        "events-in-reverse",
        Per.UNDOING,
        events.told_in_reverse,
        "what was done and undone is counted as nothing, in whatever order it is told",
        ("CQRS-3", "CQRS-4", "OUT-4"),
        tests="CQRS",
    ),
    Family(
        "event-redelivered-to-each-instance",
        Per.SUBSCRIPTION,
        events.redelivered_to_each_instance,
        "{subject} is counted once, whichever instances of the service get it",
        TWICE,
        tests="BUS",
        cell=CellKind.DOUBLED,
    ),
    Family(
        "event-shared-anew",
        Per.SAGA,
        events.shared_anew,
        "an event in hand is counted once though its service's part is shared anew, and whoever has it is lost",
        (*CRASH, "EB-2"),
        tests="BUS",
        cell=CellKind.DOUBLED,
    ),
    Family(
        "events-raced",
        Per.SAGA,
        events.raced,
        "an event is counted once though two instances have it at the same time, and no other one with it is lost",
        TWICE,
        tests="BUS",
        cell=CellKind.DOUBLED,
    ),
)

CLAIMS = (
    Family(
        "instance-lost-with-claim",
        Per.SAGA,
        instances.lost_with_claim,
        "what an instance took from the outbox and never sent is sent by another one",
        RELAY,
        tests="OUTBOX",
        cell=CellKind.DOUBLED,
    ),
    Family(
        "instance-restarted-beside-claim",
        Per.SAGA,
        instances.restarted_beside_claim,
        "what an instance is about to send no other one sends, though that is restarted, nor what follows it",
        RELAY,
        tests="OUTBOX",
        cell=CellKind.DOUBLED,
    ),
)

PARKING = (
    Family(
        "command-refused",
        Per.SAGA,
        parking.command_is_refused,
        "a command that the broker refuses waits, for its next try or an operator, however often it is asked for",
        PARKED,
        tests="OUTBOX",
    ),
    Family(
        "message-unroutable",
        Per.SAGA,
        parking.nowhere_to_go,
        "what no topic takes, or no record can be made of, is parked, and the rest flows",
        PARKED,
        tests="OUTBOX",
    ),
    Family(
        "message-refused-among-others",
        Per.SAGA,
        parking.neighbours_of_a_refused,
        "what the broker refuses keeps nothing waiting that is sent with it",
        PARKED,
        tests="OUTBOX",
    ),
    Family(
        "message-refused-for-every-reason",
        Per.SAGA,
        parking.refused_for_every_reason,
        "what the broker does not take is parked for whatever reason that is, and the rest flows",
        PARKED,
        tests="OUTBOX",
        cell=CellKind.WIRED,
    ),
    Family(
        "killed-while-parking",
        Per.SAGA,
        parking.killed_while_parking,
        "what is parked lies among the dead letters though its service is killed over it",
        (*PARKED, "UOW-1"),
        tests="OUTBOX",
        cell=CellKind.WIRED,
    ),
    Family(
        "letters-refused",
        Per.SAGA,
        unprocessable.letters_are_refused,
        "what cannot be processed becomes a dead letter though none can be sent at that moment",
        ("OUT-4", "EB-2", "FI-4"),
        tests="BUS",
    ),
)

MAILS = (
    Family(
        "mail-rejected-and-forgotten",
        Per.MAIL,
        mails.rejected_and_forgotten,
        "that a mail is rejected is told though its service is killed when it learns that",
        ATOMIC,
        tests="UOW",
    ),
    Family(
        "mail-rejected-early-or-late",
        Per.MAIL,
        mails.rejected_early_or_late,
        "a mail that its server rejects before or after it has taken the recipient is rejected like any other",
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-lost",
        Per.MAIL,
        mails.lost,
        "a mail is sent though the mail server hangs up before it has it",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-hangs",
        Per.MAIL,
        mails.hangs,
        "a mail that hangs keeps no other waiting, and is sent once though it is asked for again or its sender fails",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-in-hand-at-shutdown",
        Per.MAIL,
        mails.stopped_in_hand,
        "a mail that its server has when the service is told to shut down is not sent once more",
        CRASH,
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-among-others",
        Per.MAIL,
        mails.among_others,
        "{subject} is done however many other mails wait, of which so many are sent at a time, and some cannot be",
        CRASH,
        tests="PERF",
    ),
    Family(
        "instances-share-mails",
        Per.MAIL,
        instances.share_mails,
        "each mail is sent once, though every instance of its service looks for mails at the same time",
        ("SAGA-1", "OUT-2"),
        cell=CellKind.DOUBLED,
    ),
    Family(
        "mail-of-a-lost-instance",
        Per.MAIL,
        instances.mail_of_a_lost_one,
        "a mail that an instance had in hand is sent by another one when the claim ends, and not before",
        CRASH,
        tests="OUTBOX",
        cell=CellKind.DOUBLED,
    ),
)

OUTAGES = (
    Family(
        "sequence-broken",
        Per.SAGA,
        messages.sequence_broken,
        "{subject} completes though the broker has lost the place of every service that sends",
        ("SAGA-1", "OUT-2", "FI-1"),
        tests="OUTBOX",
        cell=CellKind.WIRED,
    ),
    Family(
        "broker-not-reached-at-start",
        Per.SAGA,
        outages.broker_not_reached_at_start,
        "what waits is sent soon after a service that was started without the broker reaches it",
        ("OUT-2", "FI-1"),
        tests="OUTBOX",
        cell=CellKind.WIRED,
    ),
    Family(
        "unexpected-at-rest",
        Per.SAGA,
        outages.nobody_expects,
        "{subject} goes on, and is given up in time, after databases have said what nobody expects",
        (*CRASH, "FI-1"),
        tests="XSERVICE",
        cell=CellKind.WIRED,
    ),
    Family(
        "unexpected-when-sent",
        Per.SAGA,
        outages.nobody_expects_of_what_was_sent,
        "what could not be noted as sent is sent once more, and keeps what comes behind it waiting no longer than that",
        ("OUT-2", "FI-1"),
        tests="OUTBOX",
        cell=CellKind.WIRED,
    ),
    Family(
        "database-down",
        Per.SAGA,
        outages.database_down,
        "{subject} completes when the databases are back, and nothing is given up meanwhile",
        (*CRASH, "CHAOS-1"),
        tests="XSERVICE",
    ),
    Family(
        "broker-down",
        Per.SAGA,
        outages.broker_down,
        "{subject} completes when the broker is back, and nothing is given up meanwhile",
        (*RELAY, "CHAOS-1"),
        tests="BUS",
        cell=CellKind.PRIVATE_BROKER,
    ),
)

TIMERS = (
    Family(
        "timers-late",
        Per.LAST_UNDOABLE,
        timers.late,
        "a saga whose deadline has passed goes no further when {subject} is done, whoever notices that first",
    ),
    Family(
        "timers-among-others",
        Per.LAST_UNDOABLE,
        timers.among_others,
        "a deadline passes while {subject} is awaited though many older sagas wait, of this version and of another one",
        CRASH,
    ),
    Family(
        "timers-contested",
        Per.LAST_UNDOABLE,
        timers.contested,
        "a deadline passes once though it is broken off, and though {subject} is done when it passes",
        (*ATOMIC, "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "timers-beside-reply",
        Per.LAST_UNDOABLE,
        timers.beside_a_reply,
        "a saga goes on when {subject} is done while its participant is being asked once more",
        (*ATOMIC, "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "timers-asked-often",
        Per.LAST_UNDOABLE,
        timers.asked_often,
        "{subject} is asked for, given up in time and undone, however often its participant has not answered",
        CRASH,
    ),
    Family(
        "timers-of-a-lost-instance",
        Per.UNDOING,
        timers.of_a_lost_instance,
        "what an instance would have done for a saga in time is done by another one when it hangs",
        CRASH,
        cell=CellKind.DOUBLED,
    ),
)

DELIVERY: tuple[Family, ...] = (*EVENTS, *CLAIMS, *PARKING, *MAILS, *OUTAGES, *TIMERS)
