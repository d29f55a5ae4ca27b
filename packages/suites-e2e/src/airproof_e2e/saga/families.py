"""The families of the fault matrix: what each does, for which parts of the manifest, and the promise that it tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from airproof.environment.topology import CellKind
from airproof_e2e.saga import (
    crowds,
    inputs,
    instances,
    messages,
    moments,
    networks,
    orchestration,
    participants,
    publishing,
    repetition,
)
from airproof_e2e.saga.stage import Stage


def in_turn(body: moments.Body) -> Callable[[Stage], object]:
    """A scenario in which the same happens at every step of one saga, one after the other."""
    return lambda stage: moments.in_turn(stage, body)


class Per(Enum):
    """What a family has one scenario for."""

    SAGA = "the saga"
    STEP = "each step"
    REFUSABLE = "each step that its participant may refuse"
    UNDOING = "the saga's way back, if there is one"
    UNDO_REFUSABLE = "each step whose undoing may be refused"
    SUBSCRIPTION = "each subscription to an event of the saga"
    MAIL = "the step that sends a mail"
    LIMITED = "each step whose refusal is a limit"
    UNDOABLE = "each step that can be undone"
    LAST_UNDOABLE = "the last of the steps that can be undone"


@dataclass(frozen=True, slots=True)
class Family:
    """Scenarios that do the same thing at different places.

    Attributes:
        promise: one line for the report; `{subject}` is the place.
        covers: rows of the feature ledger.
        undoing: whether it is about undoing a step.
        cell: the kind of cell that it needs.
        blames: the category to blame when it goes no further.
        smoke: whether it belongs to the quick check of a pull request.
    """

    name: str
    per: Per
    act: Callable[[Stage], object]
    promise: str
    covers: tuple[str, ...] = ("SAGA-1",)
    undoing: bool = False
    blames: str = "SAGA"
    cell: CellKind = CellKind.PLAIN
    smoke: bool = False


CRASH = ("SAGA-1", "FI-2")
ATOMIC = ("SAGA-1", "OUT-1", "UOW-1", "UOW-2")
RELAY = ("SAGA-1", "OUT-2", "OUT-3", "FI-2")
TWICE = ("SAGA-1", "EB-2")

ENDINGS = (
    Family(
        "happy",
        Per.SAGA,
        participants.happy,
        "without a fault {subject} completes at every participant",
        ("SAGA-1", "EB-1", "ES-1"),
        smoke=True,
    ),
    Family(
        "step-refused",
        Per.REFUSABLE,
        participants.refused,
        "when {subject} is refused, all that was done before is undone",
        smoke=True,
    ),
    Family(
        "undoing-refused",
        Per.UNDO_REFUSABLE,
        participants.undoing_refused,
        "when undoing {subject} is refused, the rest is undone and the saga says that it failed",
    ),
    Family(
        "deadline-passes",
        Per.STEP,
        participants.deadline_passes,
        "a late success of {subject} is undone or, at the pivot, completes the saga",
        CRASH,
    ),
)

PARTICIPANTS = (
    Family(
        "participant-hangs",
        Per.SAGA,
        in_turn(participants.hangs),
        "every step is asked for again under the same id while its participant hangs",
        CRASH,
    ),
    Family(
        "participant-stopped",
        Per.SAGA,
        in_turn(participants.stopped_at_work),
        "every step is done once though its participant is shut down over it",
        CRASH,
        blames="BUS",
    ),
    Family(
        "participant-forgotten",
        Per.SAGA,
        participants.forgotten_by_the_broker,
        "every step is done once though the broker has forgotten how far its participant has read",
        ("SAGA-1", "EB-2"),
        blames="BUS",
    ),
    Family(
        "participant-killed-when-asked",
        Per.SAGA,
        in_turn(participants.killed_when_asked),
        "every step is done though its participant is killed when asked",
        CRASH,
        blames="BUS",
    ),
    Family(
        "participant-killed-in-transaction",
        Per.SAGA,
        in_turn(participants.killed_in_transaction),
        "every step is done once though its participant is killed before its commit",
        ("SAGA-1", "OUT-1", "FI-2"),
        blames="BUS",
    ),
    Family(
        "participant-killed-at-commit",
        Per.SAGA,
        in_turn(participants.killed_at_commit),
        "every step is done and told though its participant is killed at its commit",
        RELAY,
        blames="OUTBOX",
    ),
    Family(
        "participant-broken-off",
        Per.SAGA,
        in_turn(participants.transaction_broken_off),
        "every step leaves nothing behind when its transaction is broken off, and is done again",
        ATOMIC,
        blames="BUS",
    ),
    Family(
        "undoing-hangs",
        Per.UNDOING,
        in_turn(participants.hangs),
        "every undoing is asked for again under the same id while its participant hangs",
        CRASH,
        undoing=True,
    ),
    Family(
        "undoing-killed-when-asked",
        Per.UNDOING,
        in_turn(participants.killed_when_asked),
        "every step is undone though its participant is killed when asked",
        CRASH,
        undoing=True,
        blames="BUS",
    ),
    Family(
        "undoing-killed-at-commit",
        Per.UNDOING,
        in_turn(participants.killed_at_commit),
        "every step is undone and told though its participant is killed at its commit",
        RELAY,
        undoing=True,
        blames="OUTBOX",
    ),
    Family(
        "undoing-broken-off",
        Per.UNDOING,
        in_turn(participants.transaction_broken_off),
        "every undoing is all or nothing when its transaction is broken off",
        ATOMIC,
        undoing=True,
        blames="BUS",
    ),
)

ORCHESTRATOR = (
    Family(
        "orchestrator-killed-before-reply",
        Per.SAGA,
        in_turn(orchestration.killed_between),
        "the saga goes on by itself though the orchestrator is killed before every reply",
        CRASH,
    ),
    Family(
        "orchestrator-killed-in-transaction",
        Per.SAGA,
        in_turn(orchestration.killed_in_transaction),
        "the saga goes on once though the orchestrator is killed while it takes every reply",
        ("SAGA-1", "OUT-1", "FI-2"),
    ),
    Family(
        "orchestrator-killed-at-commit",
        Per.SAGA,
        in_turn(orchestration.killed_at_commit),
        "the saga goes on though the orchestrator is killed whenever it has taken a reply",
        RELAY,
        blames="OUTBOX",
    ),
    Family(
        "orchestrator-broken-off",
        Per.SAGA,
        in_turn(orchestration.transaction_broken_off),
        "taking a reply is all or nothing",
        ATOMIC,
        blames="UOW",
    ),
    Family(
        "orchestrator-killed-before-undone",
        Per.UNDOING,
        in_turn(orchestration.killed_between),
        "undoing goes on by itself though the orchestrator is killed before it knows of each step that it is undone",
        CRASH,
        undoing=True,
    ),
    Family(
        "orchestrator-killed-at-commit-undone",
        Per.UNDOING,
        in_turn(orchestration.killed_at_commit),
        "undoing goes on though the orchestrator is killed whenever it knows that a step is undone",
        RELAY,
        undoing=True,
        blames="OUTBOX",
    ),
    Family(
        "orchestrator-broken-off-undone",
        Per.UNDOING,
        in_turn(orchestration.transaction_broken_off),
        "taking the reply that a step is undone is all or nothing",
        ATOMIC,
        undoing=True,
        blames="UOW",
    ),
    Family(
        "orchestrator-killed-before-deadline",
        Per.LAST_UNDOABLE,
        orchestration.deadline_survives,
        "a deadline passes though the orchestrator is killed while {subject} is awaited",
        CRASH,
    ),
    Family(
        "orchestrator-killed-before-resending",
        Per.LAST_UNDOABLE,
        orchestration.resending_survives,
        "{subject} is asked for again though the orchestrator is killed while it is awaited",
        CRASH,
        smoke=True,
    ),
    Family(
        "start-killed-at-commit",
        Per.SAGA,
        orchestration.start_killed_at_commit,
        "a start whose answer was lost is the same start when it is made again",
        RELAY,
        blames="OUTBOX",
    ),
    Family(
        "start-broken-off",
        Per.SAGA,
        orchestration.start_broken_off,
        "a start that was broken off leaves nothing behind and can be made again",
        ATOMIC,
        blames="UOW",
    ),
)

REPETITION = (
    Family(
        "start-repeated-at-once",
        Per.SAGA,
        repetition.start_repeated_at_once,
        "a start that is made many times at once makes one saga",
        smoke=True,
    ),
    Family(
        "start-repeated-later",
        Per.SAGA,
        repetition.start_repeated_later,
        "a start that is made again later makes no second saga",
    ),
    Family(
        "start-repeated-with-other-body",
        Per.SAGA,
        repetition.start_repeated_with_other_body,
        "the key of one start is refused for another, and free for another tenant",
    ),
    Family(
        "start-invalid",
        Per.SAGA,
        inputs.invalid_starts,
        "a start that is not right is refused and begins nothing",
        ("SAGA-1", "SEC-3"),
        blames="CONTRACT",
    ),
    Family(
        "start-unusual",
        Per.SAGA,
        inputs.unusual_starts,
        "a start that is right is taken as it is, however odd it looks",
        ("SAGA-1", "SEC-3"),
        blames="CONTRACT",
    ),
    Family(
        "start-by-a-stranger",
        Per.SAGA,
        repetition.start_by_a_stranger,
        "nobody but the platform's own services starts {subject}",
        ("SAGA-1", "SEC-1"),
    ),
    Family(
        "commands-redelivered",
        Per.SAGA,
        repetition.commands_repeated,
        "every step is done once however often its command and reply are delivered",
        TWICE,
        blames="BUS",
    ),
    Family(
        "undoing-redelivered",
        Per.UNDOING,
        repetition.undoing_repeated,
        "every step is undone once however often it is asked for, and only for its own saga",
        TWICE,
        undoing=True,
        blames="BUS",
    ),
    Family(
        "step-overtaken",
        Per.LAST_UNDOABLE,
        repetition.step_overtaken,
        "{subject} is not done any more once it was undone",
        TWICE,
    ),
    Family(
        "event-redelivered",
        Per.SUBSCRIPTION,
        repetition.event_repeated,
        "{subject} is counted once however often it is delivered",
        TWICE,
        blames="BUS",
    ),
    Family(
        "event-broken-off",
        Per.SUBSCRIPTION,
        repetition.event_broken_off,
        "{subject} is counted once though the counting is broken off again and again",
        (*TWICE, "UOW-2"),
        blames="BUS",
    ),
    Family(
        "commands-rewound",
        Per.LAST_UNDOABLE,
        repetition.commands_rewound,
        "{subject} is done once though the topic of its commands is read again",
        TWICE,
        blames="BUS",
    ),
    Family(
        "replies-rewound",
        Per.SAGA,
        repetition.replies_rewound,
        "nothing happens again though the topic of replies is read again",
        TWICE,
        blames="BUS",
    ),
)

CROWDS = (
    Family(
        "many-at-once",
        Per.SAGA,
        crowds.with_different_subjects,
        "many sagas at once do not disturb each other",
    ),
    Family(
        "many-with-the-same-subject",
        Per.SAGA,
        crowds.with_the_same_subject,
        "of many rivals for one subject exactly one completes",
    ),
    Family(
        "many-up-to-a-limit",
        Per.LIMITED,
        crowds.up_to_a_limit,
        "as many get through {subject} as the tenant has room for, not one more or less",
        ("SAGA-1", "DATA-2"),
    ),
    Family(
        "two-tenants",
        Per.SAGA,
        crowds.in_two_tenants,
        "nothing of one tenant's sagas gets to another tenant",
        ("SAGA-1", "DATA-2"),
    ),
)

INSTANCES = (
    Family(
        "instances-at-once",
        Per.SAGA,
        crowds.with_different_subjects,
        "two instances of every service do everything once",
        (*ATOMIC, "OUT-2"),
        cell=CellKind.DOUBLED,
    ),
    Family(
        "instances-share-outbox",
        Per.SAGA,
        instances.share_an_outbox,
        "what waits in an outbox is sent once, though every instance of its service looks for it at the same time",
        ("OUT-2", "OUT-3"),
        blames="OUTBOX",
        cell=CellKind.DOUBLED,
    ),
    Family(
        "instance-frozen",
        Per.SAGA,
        in_turn(instances.frozen_at_commit),
        "what an instance has committed and cannot tell any more is told by another one",
        RELAY,
        cell=CellKind.DOUBLED,
    ),
)

PUBLISHING = (
    Family(
        "publishing-refused",
        Per.SAGA,
        publishing.publishing_is_refused,
        "what the broker refuses is parked, the rest flows, and it is sent again with its id",
        ("OUT-2", "OUT-4"),
        blames="OUTBOX",
    ),
    Family(
        "poison-message",
        Per.SAGA,
        publishing.poison_arrives,
        "what a service cannot process is parked with its cause, and the rest flows",
        ("OUT-4", "EB-2", "FI-4"),
        blames="BUS",
    ),
    Family(
        "replies-forged",
        Per.SAGA,
        publishing.replies_are_forged,
        "no message of one tenant moves a saga of another",
        ("SAGA-1", "DATA-2", "FI-4"),
        blames="TENANCY",
    ),
    Family(
        "order-kept",
        Per.SAGA,
        publishing.order_is_kept,
        "the events of an aggregate arrive in order though the first is refused for a moment",
        ("OUT-2",),
        blames="OUTBOX",
    ),
    Family(
        "event-log-immutable",
        Per.SAGA,
        publishing.event_log_is_immutable,
        "no service can change or delete an event that it has stored",
        ("ES-1",),
    ),
    Family(
        "late-commit",
        Per.SAGA,
        publishing.commits_late,
        "a message that commits late, or waits for another try, is sent all the same and keeps no other waiting",
        ("OUT-2",),
        blames="OUTBOX",
    ),
    Family(
        "mail-server-down",
        Per.MAIL,
        publishing.mail_server_down,
        "a mail server that is away delays {subject} and does not fail it",
        CRASH,
    ),
    Family(
        "mail-accepted-and-forgotten",
        Per.MAIL,
        publishing.mail_accepted_and_forgotten,
        "a mail that is sent again keeps its Message-ID",
        CRASH,
    ),
    Family(
        "killed-before-acknowledgement",
        Per.SAGA,
        publishing.killed_before_acknowledgement,
        "what was committed is told though its service is killed before the broker has acknowledged that",
        RELAY,
        cell=CellKind.PRIVATE_BROKER,
        blames="OUTBOX",
    ),
)

MESSAGES = (
    Family(
        "replies-lost",
        Per.SAGA,
        messages.replies_lost,
        "every step's reply arrives in the end though it is lost once, after the work was done",
        (*RELAY, "FI-1"),
        cell=CellKind.WIRED,
        blames="OUTBOX",
        smoke=True,
    ),
    Family(
        "acknowledgements-lost",
        Per.SAGA,
        messages.acknowledgements_lost,
        "what the broker took is told once in effect though no service learns that it was taken",
        (*RELAY, "FI-1"),
        cell=CellKind.WIRED,
        blames="OUTBOX",
    ),
    Family(
        "killed-between-send-and-mark",
        Per.STEP,
        messages.killed_between_send_and_mark,
        "{subject} counts once though its participant is killed between sending its reply and noting that it is sent",
        (*RELAY, "FI-1"),
        cell=CellKind.WIRED,
        blames="OUTBOX",
    ),
    Family(
        "commit-late",
        Per.SAGA,
        messages.commit_late,
        "a message whose transaction commits late is sent, though a later one was sent before",
        ("OUT-2", "FI-1"),
        cell=CellKind.WIRED,
        blames="OUTBOX",
    ),
    Family(
        "reply-taken-slowly",
        Per.SAGA,
        messages.reply_taken_slowly,
        "{subject} goes on once though its timers run out while the orchestrator takes a reply",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "commits-unacknowledged",
        Per.SAGA,
        messages.commits_unacknowledged,
        "what a service committed counts once though it never learns that it was committed",
        (*ATOMIC, "FI-1"),
        cell=CellKind.WIRED,
        blames="UOW",
    ),
    Family(
        "statements-cut-off",
        Per.STEP,
        messages.statements_cut_off,
        "{subject} is all or nothing, and done in the end, at whichever statement its connection breaks",
        (*ATOMIC, "FI-1"),
        cell=CellKind.WIRED,
        blames="UOW",
    ),
    Family(
        "reply-late",
        Per.UNDOABLE,
        messages.reply_late,
        "{subject} is undone when its reply comes after the orchestrator has given up",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "start-answer-lost",
        Per.SAGA,
        messages.start_answer_lost,
        "a start whose answer is lost on its way to the user is the same start when it is made again",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-put-off",
        Per.MAIL,
        messages.mail_put_off,
        "a mail server that cannot take a mail just now delays {subject} and does not fail it",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-answer-lost",
        Per.MAIL,
        messages.mail_answer_lost,
        "a mail that was taken without the service learning it keeps its Message-ID when it is sent again",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
)

NETWORKS = (
    Family(
        "network-slow",
        Per.SAGA,
        networks.slow,
        "a slow network makes {subject} slow and nothing else",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "network-lossy",
        Per.SAGA,
        networks.lossy,
        "{subject} is complete or nothing though messages to the databases are lost",
        (*ATOMIC, "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "broker-flapping",
        Per.SAGA,
        networks.flaps,
        "{subject} completes though the links to the broker come and go",
        ("SAGA-1", "OUT-2", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "participant-parted",
        Per.LAST_UNDOABLE,
        networks.parted,
        "{subject} is done when its participant reaches its database and the broker again",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
)

FAMILIES: tuple[Family, ...] = (
    *ENDINGS,
    *PARTICIPANTS,
    *ORCHESTRATOR,
    *REPETITION,
    *CROWDS,
    *INSTANCES,
    *PUBLISHING,
    *MESSAGES,
    *NETWORKS,
)
