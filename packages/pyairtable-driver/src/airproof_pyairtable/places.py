"""Where PyAirtable keeps and tells what it does: databases, tables, topics, consumer groups."""

from __future__ import annotations

from dataclasses import dataclass

from airproof.platform.driver import Topic, Write
from airproof_pyairtable.manifest import (
    CACHE,
    DEAD_LETTERS,
    MANIFEST,
    ORCHESTRATOR,
    REGISTRATION,
    REPLIES,
    USERS,
)


@dataclass(frozen=True, slots=True)
class EffectTable:
    """Where a participant keeps the effects of a step.

    Attributes:
        subject: the column that names the subject; empty: it is known through the saga.
        condition: which rows are effects.
    """

    database: str
    table: str
    subject: str = ""
    condition: str = "true"


EFFECTS = {
    "credential": EffectTable("auth", "credentials", "email"),
    "profile": EffectTable("users", "profiles", "email"),
    "workspace": EffectTable("workspaces", "workspaces"),
    "role_assignment": EffectTable("permissions", "role_assignments"),
    "mail": EffectTable("notifications", "mails", "recipient", "status = 'sent'"),
}

# The topic of each kind of aggregate, by the event types of the manifest.
EVENT_TOPICS = {
    "credential.created": "pyairtable.credential.events",
    "credential.removed": "pyairtable.credential.events",
    "user.created": "pyairtable.user.events",
    "user.removed": "pyairtable.user.events",
    "workspace.created": "pyairtable.workspace.events",
    "workspace.renamed": "pyairtable.workspace.events",
    "workspace.removed": "pyairtable.workspace.events",
    "permissions.assigned": "pyairtable.permission.events",
    "permissions.revoked": "pyairtable.permission.events",
    "welcome.email.sent": "pyairtable.notification.events",
    "user.registration.started": "pyairtable.registration.events",
    "user.registration.completed": "pyairtable.registration.events",
    "user.registration.failed": "pyairtable.registration.events",
    "user.registration.compensated": "pyairtable.registration.events",
    "user.registration.needs_attention": "pyairtable.registration.events",
}


def commands_topic(service: str) -> str:
    """Where a participant takes its commands from."""
    return f"pyairtable.{service}.commands"


PARTICIPANTS = tuple(step.participant for step in REGISTRATION.steps)

CACHE_KEEPER = CACHE.keeper

# What each consumer group reads. The group of a service has the service's name, after the cell's prefix; what a service
# reads apart from everything else it reads in another group.
CONSUMPTION: dict[str, tuple[str, ...]] = {
    **{service: (commands_topic(service),) for service in PARTICIPANTS},
    USERS: (commands_topic(USERS), EVENT_TOPICS["workspace.created"]),
    CACHE_KEEPER: (EVENT_TOPICS["workspace.created"],),
    ORCHESTRATOR: (REPLIES,),
}

_OF_ALL = (REPLIES, *EVENT_TOPICS.values(), DEAD_LETTERS)
_SHARED_BY = {EVENT_TOPICS[one.event]: one.service for one in MANIFEST.subscriptions}
TOPICS = (
    *(Topic(commands_topic(service), shared_by=service) for service in PARTICIPANTS),
    *(Topic(name, shared_by=_SHARED_BY.get(name, "")) for name in dict.fromkeys(_OF_ALL)),
)


def node_of(instance: str) -> str:
    """The node of the process that calls itself so where it claims something, and to its database."""
    service, _, number = instance.rpartition("-")
    return service if number == "1" else f"{service}.{number}"


def database_of(service: str) -> str:
    """The name of a service's own database."""
    database = MANIFEST.service(service).database
    if database is None:
        raise ValueError(f"{service!r} has no database")
    return database


def written_table(service: str, write: Write) -> str:
    """The table that a write of the service goes to."""
    match write:
        case Write.EVENT:
            return "domain_events"
        case Write.OUTBOX | Write.CLAIM:
            return "event_outbox"
        case Write.INBOX:
            return "inbox" if service == ORCHESTRATOR else "command_results"
        case Write.EVENT_INBOX:
            return "inbox"
        case Write.BUSINESS | Write.MAIL_CLAIM:
            database = database_of(service)
            tables = {place.database: place.table for place in EFFECTS.values()}
            return tables.get(database, "saga_instances")
