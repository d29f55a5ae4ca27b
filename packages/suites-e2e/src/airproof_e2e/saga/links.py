"""Families about what goes over the links of a cell: messages that are lost, late or cut off, networks that fail."""

from __future__ import annotations

from airproof.environment.topology import CellKind
from airproof_e2e.saga import mails, messages, networks
from airproof_e2e.saga.family import ATOMIC, RELAY, Family, Per

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
        "{subject} goes on once though its timers run out while a reply is taken, and holds up no other's",
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
        "commits-cut-off",
        Per.SAGA,
        messages.commits_cut_off,
        "what a service could not commit it has not done, for nobody, and does in the end",
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
        "statements-refused",
        Per.LAST_UNDOABLE,
        messages.statements_refused,
        "{subject} is done once its database can, however often it cannot just then",
        ("SAGA-1", "UOW-2", "FI-1"),
        cell=CellKind.WIRED,
        blames="DBTX",
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
        "refusal-late",
        Per.UNDOING,
        messages.refusal_late,
        "what was refused is not undone though the refusal comes after the orchestrator has given up",
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
        mails.put_off,
        "a mail server that cannot take a mail just now delays {subject} and does not fail it",
        ("SAGA-1", "FI-1"),
        cell=CellKind.WIRED,
    ),
    Family(
        "mail-answer-lost",
        Per.MAIL,
        mails.answer_lost,
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

LINKS: tuple[Family, ...] = (*MESSAGES, *NETWORKS)
