"""Access to what services tell one another and the world: the bus, their outboxes, the mails that they send."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from airproof.platform.observation import BusMessage, OutboxRow

if TYPE_CHECKING:
    from airproof.platform.driver import Tenant


class BusAccess(Protocol):
    """The message bus, as an operator of the platform may touch it."""

    def messages(self, saga_id: str) -> tuple[BusMessage, ...]:
        """Everything of the saga that the bus holds at this moment: nothing sent before the call is missing."""
        ...

    def send_poison(self, service: str, tenant: Tenant) -> tuple[BusMessage, ...]:
        """Sends the service messages of the tenant that it cannot process, however often it tries, and returns them.

        Some are no messages of the platform at all: not what they say, with a header that is no text, without key,
        without value, and more than one without an id. Of each kind that the service takes, some are well formed and
        lack what they speak of, speak of what the service does not know, or hold what it cannot store.

        Args:
            service: may go by the name under which it consumes something apart, `Cached.keeper`.
        """
        ...

    def provide(self, topic: str) -> None:
        """Makes a topic that there is none of."""
        ...

    def refusing(self, what: str, *, larger_than: int = 0) -> AbstractContextManager[None]:
        """Makes the broker refuse, for good, larger records on one topic.

        Args:
            what: goes to that topic: a type of events, a service for its commands, or `MessageKind.DEAD_LETTER`.
        """
        ...

    def forget_group(self, service: str) -> None:
        """Has the broker forget how far a service that is down has read, and what there was, as it does after days."""
        ...

    def expel(self, service: str, node: str) -> None:
        """Has the broker count an instance that is down out of its service's group.

        Returns when the other instances have shared its part among them.
        """
        ...

    def send_letter(self, letter: BusMessage, to: BusMessage, *, days: float = 0) -> BusMessage:
        """Sends what the dead letter holds to where its message was, as an operator does, so many days later.

        Returns what was sent.
        """
        ...

    def wait_dead_letter(self, message_id: str, *, key: str = "", by: str = "", timeout_s: float) -> BusMessage:
        """Waits until the message lies among the dead letters.

        Args:
            key: what a message is known by that has no id.
            by: who has given it up, where several might; empty: whoever has.

        Raises:
            WaitTimeout: it does not.
        """
        ...


class OutboxAccess(Protocol):
    """The outboxes of the services, as an operator of the platform may touch them."""

    def held_back(self, service: str, tenant: Tenant) -> tuple[OutboxRow, ...]:
        """The tenant's messages that the service has not published."""
        ...

    def retry(self, service: str, message_id: str) -> None:
        """Asks the service to send a parked message once more."""
        ...

    def put_stream(
        self, service: str, tenant: Tenant, sizes: Sequence[int], *, routable: bool = True
    ) -> tuple[str, ...]:
        """Puts events of one new aggregate into the service's outbox, in one transaction, and returns their ids.

        Args:
            sizes: of their payloads, in bytes.
            routable: whether there is a topic that they go to.
        """
        ...

    def put_stream_in_turn(self, service: str, tenant: Tenant, sizes: Sequence[int]) -> tuple[str, ...]:
        """Does the same over two connections in turn, as two instances may, in transactions of two events each."""
        ...

    def put_unsendable(self, service: str, tenant: Tenant) -> tuple[str, str]:
        """Puts two events of one new aggregate into the service's outbox and returns their ids.

        Of the first no record can be made. The second is of a kind that the service does not know, and goes its way.
        """
        ...

    def claimed_for_s(self, service: str, tenant: Tenant, message_id: str | None = None) -> float:
        """How long instances of the service have what they claim of the tenant's messages; 0 if that is nothing.

        Args:
            message_id: of the one that is asked about; None: all of them.
        """
        ...

    def put_claimed(self, service: str, tenant: Tenant, for_s: float) -> str:
        """Puts a message in that an instance has claimed which claims others of the tenant's; returns its id.

        The instance does not know of it, as when the answer to a claim was lost.
        """
        ...

    def end_claims(self, service: str, tenant: Tenant, in_s: float) -> int:
        """Has what instances of the service claim of the tenant's messages end after that time; says how many it is.

        None or less: it has ended, as it does when nobody renews it.
        """
        ...

    def late_commit(self, service: str, tenant: Tenant) -> AbstractContextManager[str]:
        """Holds a transaction open that has taken its place in the service's outbox, and yields its message id.

        It commits when the context ends, after messages that took a later place.
        """
        ...

    def put_off(self, service: str, row: OutboxRow) -> AbstractContextManager[OutboxRow]:
        """Has a message that is not sent yet, or parked, be as after its first try, and yields it so.

        It is not due before the context ends.
        """
        ...

    def postponed(self, service: str, tenant: Tenant, count: int = 1) -> AbstractContextManager[tuple[str, ...]]:
        """Puts messages of as many aggregates into the service's outbox that were refused once; yields their ids.

        None of them is due again before the context ends.
        """
        ...

    def put_beside(self, service: str, tenant: Tenant, message_id: str) -> tuple[str, ...]:
        """Puts messages in that have the key or the topic of that event, and not both, and returns their ids."""
        ...

    def sent_as_another(self, tenant: Tenant, *, newer: bool) -> AbstractContextManager[None]:
        """Has all services store, keep and send what is the tenant's as another version does, until the context ends.

        Args:
            newer: with a header more, a field more in each object, and a clock that is ahead; else without what came
                after the first version, and with a clock that is behind.
        """
        ...


class MailAccess(Protocol):
    """The mails that wait to be sent, as an operator of the platform may touch them."""

    def claimers(self, tenant: Tenant) -> list[str]:
        """Of each of the tenant's mails that wait, the node of the instance that has it in hand; empty for none."""
        ...

    def held_for(self, tenant: Tenant) -> list[float]:
        """For how many seconds yet each of the tenant's mails that somebody has in hand is theirs."""
        ...

    def waits(self, tenant: Tenant) -> list[float]:
        """In how many seconds each of the tenant's mails that nobody has in hand is tried next; 0 or less for now."""
        ...

    def tries(self, tenant: Tenant) -> list[int]:
        """How often each of the tenant's mails that wait has been tried, as far as the platform knows."""
        ...

    def tried_often(self, tenant: Tenant, times: int) -> None:
        """Has each of the tenant's mails that wait be as after so many tries, and be due now."""
        ...

    def left(self, tenant: Tenant, count: int, *, known: bool) -> AbstractContextManager[None]:
        """Has so many mails of the tenant wait, before all others; the context's end removes them.

        Args:
            known: whether the service can send them; else another version has left them.
        """
        ...

    def make_due(self, tenant: Tenant) -> None:
        """Has all of the tenant's mails that wait be due now. What an instance claims of them has ended."""
        ...
