"""Access to single entities of a platform: as their users have it, and to what databases and caches hold of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airproof.platform.manifest import Cached, Entity
from airproof.platform.observation import BusMessage, Snapshot, StoredEvent, Update

if TYPE_CHECKING:
    from airproof.platform.driver import EffectBlock, Tenant


@dataclass(frozen=True, slots=True)
class EntityRef:
    """One entity.

    Attributes:
        owner: the id of the user who may read and change it.
    """

    id: str
    tenant: Tenant
    owner: str


class EntityAccess(Protocol):
    """Entities of one kind, read and changed by their users. Safe to use from several threads."""

    entity: Entity

    def create(self, tenant: Tenant, *, called: EntityRef | None = None) -> EntityRef:
        """A new entity with an owner of its own, as the platform makes them; it is at version 1.

        Args:
            called: an entity whose owner is gone, or not let in; the new one's owner has the same name.

        Raises:
            PlatformError: it could not be made.
        """
        ...

    def add(self, ref: EntityRef, values: Sequence[str]) -> list[EntityRef]:
        """More entities of the same owner, put where entities are kept, in the order in which they are made.

        Their ids are in another order. They are at version 1, and have no events.
        """
        ...

    def read(self, ref: EntityRef, *, reader: EntityRef | None = None) -> Snapshot | None:
        """The entity as the platform shows it to its owner, or to the owner of another one; None if it shows nothing.

        Raises:
            PlatformError: the platform answers with an error, or not at all.
        """
        ...

    def update(
        self, ref: EntityRef, value: str, *, expected_version: int, key: str | None = None, correlation_id: str = ""
    ) -> Update:
        """Changes the entity if it is at that version. A lost answer is `UNKNOWN`; nothing is tried twice.

        Args:
            key: the idempotency key; the same key is the same request. None sends none.
            correlation_id: the request's own; empty sends none.
        """
        ...

    def truth(self, ref: EntityRef) -> Snapshot | None:
        """The entity as its owner's primary database holds it, committed; None if it is not there."""
        ...

    def stream(self, ref: EntityRef) -> tuple[StoredEvent, ...]:
        """The entity's events in the event store, in the order in which they were appended."""
        ...

    def hold_updates(self) -> AbstractContextManager[EffectBlock]:
        """Holds the updates of all entities at their last write before the commit, until the context ends.

        An update, or a removal, that waits for another one, which is held, counts as waiting.
        """
        ...

    def passing(self, tenant: Tenant) -> AbstractContextManager[EntityRef]:
        """A new entity that the platform itself removes when the context ends; wait for its event to see it gone.

        Until then its owner has all that owners have; they are removed with it.
        """
        ...

    def coming(self, tenant: Tenant) -> AbstractContextManager[EntityRef]:
        """An entity that is not there yet, and is when the context ends. It is read behind the gateway."""
        ...

    def replica_held(self) -> AbstractContextManager[None]:
        """Keeps copies of the owner's database as they are, until the context ends."""
        ...

    def behind_the_gateway(self, node: str = "") -> EntityAccess:
        """The same, asked of the entity's own service in the gateway's place: for tests that break what it needs.

        Args:
            node: which of its instances is asked; empty: the first.
        """
        ...


class CacheAccess(Protocol):
    """The cache of one kind of entity, as an operator may look into it."""

    cached: Cached

    def entry(self, ref: EntityRef) -> Snapshot | None:
        """What the cache would answer now; None if it has nothing."""
        ...

    def expires_in(self, ref: EntityRef) -> float:
        """In how many seconds all that the cache has of it goes away by itself; 0 if it has nothing."""
        ...

    def forget(self, ref: EntityRef) -> None:
        """Takes the entity's entry out, whatever state it is in, so that the next read is a miss."""
        ...

    def spoils(self, ref: EntityRef) -> Iterator[str]:
        """Makes the entity's entry one that the service has not written, in one way after another; says in which."""
        ...

    def wait_invalidated(self, ref: EntityRef, version: int, *, timeout_s: float) -> BusMessage:
        """Waits until the event with that version is on the bus and has been consumed by who keeps the cache right.

        Raises:
            WaitTimeout: it is not.
        """
        ...

    def invalidate_again(self, event: BusMessage, *, timeout_s: float) -> None:
        """Delivers the event to who keeps the cache right once more, and waits until it has been consumed.

        Raises:
            WaitTimeout: it is not.
        """
        ...
