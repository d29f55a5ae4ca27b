"""What a driver implements: how to launch a platform, and typed access to a running cell of it.

A driver is loaded by name from the entry point group `airproof.platforms`. Suites use `Platform` and what it returns;
providers use the launching half.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from airproof.environment.topology import CellDescription
from airproof.platform.entities import CacheAccess, EntityAccess
from airproof.platform.manifest import Manifest, Saga
from airproof.platform.messaging import BusAccess, MailAccess, OutboxAccess
from airproof.platform.observation import (
    BusMessage,
    Effect,
    MessageKind,
    SagaObservation,
    SagaReadout,
    SagaState,
)
from airproof.platform.requests import RequestAccess
from airproof.platform.sessions import SessionAccess


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the platform, without the cell's prefix.

    Attributes:
        shared_by: the service of which each instance has a partition of its own to read.
    """

    name: str
    partitions: int = 1
    shared_by: str = ""

    def within(self, cell: CellDescription) -> Topic:
        """The topic as the cell has it, with a partition for each instance."""
        return replace(self, partitions=max(self.partitions, len(cell.instances(self.shared_by))))


@dataclass(frozen=True, slots=True)
class ServiceLaunch:
    """How one service process is started.

    Attributes:
        entry: `module:function`, called without arguments in a process forked from the preloaded parent.
        environment: the whole configuration, as environment variables.
    """

    entry: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Migration:
    """How the databases get their schema.

    Attributes:
        argv: a command; `DATABASE_URL_TEMPLATE` in its environment has `{database}` where the name goes.
        schema_package, schema_glob: the source files the schema depends on; their content keys the prepared data.
        entry: `module:function` that does the same in a process forked from the preloaded parent; empty: none does.
    """

    argv: tuple[str, ...]
    schema_package: str
    schema_glob: str
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the platform; every test makes its own."""

    id: str


@dataclass(frozen=True, slots=True)
class SagaInput:
    """What a saga is started with.

    Attributes:
        subject: what identifies its effects: the e-mail address.
        fields: what the platform's start request carries.
        secrets: values among them that may appear in no message and no log.
        greeted: what a mail to the saga's user calls them; empty if none does.
    """

    tenant: Tenant
    subject: str
    fields: dict[str, Any]
    secrets: tuple[str, ...] = ()
    greeted: str = ""


class SagaAccess(Protocol):
    """Drives one kind of saga and reads what it did. All times are seconds."""

    saga: Saga

    def make_input(self, tenant: Tenant, *, subject: str | None = None) -> SagaInput:
        """A new input, unique, the same for the same seed. `subject` asks for that very subject."""
        ...

    def respelled(self, given: SagaInput) -> SagaInput:
        """The same in another spelling, which makes no other start of it; its `subject` is as the platform keeps it."""
        ...

    def start(self, given: SagaInput, *, key: str | None = None, deadline_s: float | None = None) -> str:
        """Starts the saga and returns its id. Safe to call from several threads.

        Args:
            key: the idempotency key; the same key is the same start. A new one if None.
            deadline_s: how long the platform may try before it gives up and compensates; its default if None.

        Raises:
            StartRefused: the platform says that this start is wrong.
            PlatformError: the platform did not accept the start for another reason; it may have happened all the same.
        """
        ...

    def told(self, saga_id: str) -> SagaState:
        """What the last answer to a start of the saga said that its state was."""
        ...

    def read(self, saga_id: str) -> SagaReadout:
        """The saga as the orchestrator reports it now."""
        ...

    def listed(self, tenant: Tenant, *, large: bool = False) -> list[str]:
        """The ids of the tenant's sagas as operators are shown them, the newest first.

        Args:
            large: they are shown as many at a time as can be.
        """
        ...

    def wait_terminal(self, saga_id: str, *, timeout_s: float) -> SagaReadout:
        """Waits until the saga is terminal.

        Raises:
            WaitTimeout: it is not; the message holds the last read-out.
        """
        ...

    def usable(self, given: SagaInput) -> bool:
        """Whether what was started with that works for its user: a login succeeds, and shows them what they have."""
        ...

    def refuse(self, step: str, given: SagaInput) -> AbstractContextManager[None]:
        """Arranges the step's business precondition, so that the participant refuses this input."""
        ...

    def room(self, step: str, tenant: Tenant, count: int) -> AbstractContextManager[None]:
        """Limits how many effects of the step the tenant may have; only for a step whose refusal is a limit."""
        ...

    def filled(self, step: str, tenant: Tenant, room: int) -> AbstractContextManager[None]:
        """Puts in effects of the step, like one that the tenant has, until there is so little room for more.

        No rule limits them but the platform's own. The context's end removes them.
        """
        ...

    def start_unidentified(self, given: SagaInput) -> str:
        """Starts the saga at the orchestrator itself as somebody who is no service of the platform.

        Raises:
            StartRefused: as it should be.
        """
        ...

    def refuse_compensation(self, step: str, given: SagaInput) -> AbstractContextManager[None]:
        """Arranges the precondition that makes the participant refuse to undo the step."""
        ...

    def block_effect(self, step: str) -> AbstractContextManager[EffectBlock]:
        """Holds the participant's transaction at the write of its effect until the context ends or it is released."""
        ...

    def block_write(self, service: str, write: Write) -> AbstractContextManager[EffectBlock]:
        """Holds the transactions of a participant or of the orchestrator at that write, in the same way."""
        ...

    def in_transaction(self, service: str) -> bool:
        """Whether the service has a transaction open at this moment, of which others may have to wait for the locks."""
        ...

    def hold_commits(self, service: str) -> AbstractContextManager[EffectBlock]:
        """Holds every commit of the cell's databases after it is durable and before the service is told so.

        The block is about the service's own commits. Breaking them off leaves them committed.
        """
        ...

    def effect(self, step: str, saga_id: str) -> Effect | None:
        """The committed effect of the step, as the participant's database holds it now."""
        ...

    def wait_message(
        self, saga_id: str, kind: MessageKind, type_: str, *, count: int = 1, timeout_s: float
    ) -> BusMessage:
        """Waits until the bus holds the count-th such message of the saga. `type_` as in `BusMessage.type`."""
        ...

    def redeliver(self, message: BusMessage, *, days: float = 0, elsewhere: bool = False) -> BusMessage:
        """Produces the record once more, key, headers and body unchanged, and returns the copy.

        Args:
            days: how much older it says that it is.
            elsewhere: in another partition, which another instance reads.
        """
        ...

    def rewind(self, group_of: str, topic: str, to: BusMessage) -> None:
        """Sets a stopped service's consumer group to the record, so that this is what it gets next."""
        ...

    def forge_replies(self, saga_id: str, step: str, other: Tenant) -> tuple[BusMessage, ...]:
        """Sends refusals of the step that say, in head, body or both, that they are of the other tenant.

        One more is of the right tenant, and of a step that the saga does not have.
        """
        ...

    def put_off_timers(self, saga_id: str, by_s: float) -> None:
        """Has nothing of the saga run out before that time, until it goes on: as if timers were looked at late."""
        ...

    def of_another_version(self, saga_id: str) -> AbstractContextManager[None]:
        """Has the saga be of a type that the platform does not know, until the context ends."""
        ...

    def ask_often(self, saga_id: str, step: str, times: int) -> None:
        """Has the step have been asked for so many times, as after a long silence of its participant."""
        ...

    def asked(self, saga_id: str, step: str) -> int:
        """How often the orchestrator remembers to have asked for what the step is at now."""
        ...

    def next_look_s(self, saga_id: str) -> float:
        """In how many seconds the orchestrator looks at the saga at the latest; infinite if nothing makes it to."""
        ...

    def waiting(self, tenant: Tenant, count: int, *, known: bool = False) -> AbstractContextManager[None]:
        """Puts in old sagas of the tenant, which has no others; the context's end removes them.

        So many wait for something that is long due and cannot be done: another version has left them, of a type, in a
        state or at a step that the platform does not know. As many wait for something that is not due for long, though
        their deadlines have passed. Whatever they are put in order by, all of them come early.

        Args:
            known: there are none but these, and the platform knows all of them.
        """
        ...

    def forge_commands(self, saga_id: str, step: str, other: Tenant) -> tuple[BusMessage, ...]:
        """Sends commands to do and to undo the step of the saga that say the same."""
        ...

    def forge_event(self, event: BusMessage, of: Tenant, *, elsewhere: bool = False) -> BusMessage:
        """Sends a new event of another aggregate that tells the same in the tenant's name.

        Args:
            elsewhere: in another partition than that one's, which another instance reads.
        """
        ...

    def observe(self, tenant: Tenant) -> SagaObservation:
        """Reads everything the tenant's sagas left behind. Wait for the barrier first."""
        ...


class EffectBlock(Protocol):
    """A participant's transaction held from outside."""

    def wait_blocked(self, *, timeout_s: float) -> None:
        """Waits until a transaction of the participant is really waiting at the block."""
        ...

    def waiting(self) -> int:
        """How many transactions of the service wait at the block now."""
        ...

    def release(self) -> None:
        """Lets the transaction go on."""
        ...

    def node(self) -> str:
        """The node of the instance whose transaction waits at the block, or of one of them."""
        ...

    def break_off(self) -> int:
        """Cuts the database connection of every transaction that waits at the block; returns how many there were."""
        ...


class Write(StrEnum):
    """What a transaction that handles a message writes.

    `BUSINESS` is the participant's effect, or the orchestrator's saga. `INBOX` is what was done with commands and
    replies, `EVENT_INBOX` with events of others. `CLAIM` is no message's: who sends what the outbox holds takes it.
    `MAIL_CLAIM` is the same for mails.
    """

    BUSINESS = "business"
    EVENT = "event"
    OUTBOX = "outbox"
    INBOX = "inbox"
    EVENT_INBOX = "event inbox"
    CLAIM = "claim"
    MAIL_CLAIM = "mail claim"


class Platform(Protocol):
    """Typed access to one running cell."""

    manifest: Manifest
    cell: CellDescription

    @property
    def bus(self) -> BusAccess:
        """The message bus."""
        ...

    @property
    def outbox(self) -> OutboxAccess:
        """The outboxes of the services."""
        ...

    @property
    def mails(self) -> MailAccess:
        """The mails that wait to be sent."""
        ...

    def new_tenant(self, seed: str) -> Tenant:
        """A tenant of its own for a test; the same seed gives the same names."""
        ...

    def sagas(self, name: str) -> SagaAccess:
        """Access to the saga of that name."""
        ...

    def entities(self, name: str) -> EntityAccess:
        """Access to the entities of that kind."""
        ...

    @property
    def requests(self) -> RequestAccess:
        """Requests over HTTP, in whoever's name."""
        ...

    @property
    def sessions(self) -> SessionAccess:
        """What users get when they log in."""
        ...

    def cache(self, entity: str) -> CacheAccess:
        """The cache behind reads of the entities of that kind."""
        ...

    def tamper(self, service: str, tenant: Tenant) -> list[str]:
        """Tries to change each part of the tenant's stored events, and to delete them.

        Returns what the service's database let happen, which is undone.
        """
        ...

    def age(self, service: str, days: float) -> None:
        """Has all be older that the service keeps of messages it sent, received and answered, and of mails."""
        ...

    def half_migrated(self) -> AbstractContextManager[EffectBlock]:
        """Has something be missing that the platform's migration makes, and holds whoever makes it until released.

        It is missing afterwards, unless a migration has made it. So is all that the first version did not have of what
        there was then.
        """
        ...

    def emptied(self, service: str) -> AbstractContextManager[None]:
        """Has the service's database be as a new one, until the context ends; then it is as it was before.

        The service should be down meanwhile.
        """
        ...

    def one_step_further(self, service: str) -> AbstractContextManager[None]:
        """Whoever brings the service's database up to date succeeds in one step, and fails in the second."""
        ...

    def schema(self) -> frozenset[str]:
        """What there is in the databases, by its names: each part of each kind of thing that they keep."""
        ...

    def quiet(self) -> list[str]:
        """What keeps the cell from being quiet; empty when it is.

        Undrained outboxes, running sagas, lag of consumer groups, open transactions.
        """
        ...

    def close(self) -> None:
        """Closes all connections."""
        ...


class Driver(Protocol):
    """The launching half: everything a provider needs to bring the platform up.

    Attributes:
        preload: modules of the platform that every service needs, imported once and shared by forking.
        access: modules that `connect` needs, imported by a worker while it waits for its cell.
    """

    manifest: Manifest
    preload: tuple[str, ...]
    access: tuple[str, ...]
    migration: Migration
    topics: tuple[Topic, ...]

    def databases(self) -> Sequence[str]:
        """The databases of the platform."""
        ...

    def launch(self, node: str, cell: CellDescription) -> ServiceLaunch:
        """How to start an instance of a service in a cell whose endpoints are known but need not answer yet."""
        ...

    def connect(self, cell: CellDescription, *, seed: int) -> Platform:
        """Access to a running cell; connects lazily."""
        ...
