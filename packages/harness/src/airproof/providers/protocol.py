"""What a provider is: brings environments up and hands out cells.

A provider registers under the entry point group `airproof.providers`. Nothing here assumes that a node is a process of
this machine or that an address is loopback: a node is what a `CellDescription` names, and what can be done to it is
what `Capabilities` offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airproof.environment.topology import CellDescription, CellKind

if TYPE_CHECKING:
    from airproof.environment.capabilities import Capabilities
    from airproof.environment.model import Environment
    from airproof.platform.driver import Driver
    from airproof.supervision.specs import ProcessEvent

GROUP = "airproof.providers"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a provider needs, as found before anything is started.

    Attributes:
        what: the thing: `PostgreSQL`, `Java`, `/dev/shm`.
        ok: whether the environment can come up with what was found.
        detail: what was found, or what is missing.
        remedy: what to do about it; empty where nothing needs doing.
        extra: the extra of `airproof` that would supply the thing, such as `jre`; the install step of nox adds it.
    """

    what: str
    ok: bool
    detail: str
    remedy: str = ""
    extra: str = ""


class Progress(Protocol):
    """Shows what is going on. Safe to call from several threads."""

    def step(self, what: str) -> AbstractContextManager[None]:
        """A piece of work that takes time, named for the reader; it ends, well or not, with the context."""
        ...


class Provision(Protocol):
    """An environment that is up, as one process of the run sees it.

    Attributes:
        handle: a string with which another process of the run joins.
        sources: backing to what it took: `{"PostgreSQL": "installed server 15.18"}`.
        stand_ins: the backings that are not the real product.
        notes: what the reader of the run should know besides, one sentence each: "the cache … is read-only …".
    """

    @property
    def handle(self) -> str: ...

    @property
    def sources(self) -> Mapping[str, str]: ...

    @property
    def stand_ins(self) -> tuple[str, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def prepare_cell(self) -> None:
        """Sees to it that there is a cell, leased or free, while whoever will lease it still starts.

        Raises:
            NotReady: a node did not become ready; the message holds its last log lines.
        """
        ...

    def lease_cell(self, kind: CellKind = CellKind.PLAIN) -> CellDescription:
        """A free kept cell or a new one, healthy and ready.

        The cell ends with the process that leased it, unless it was returned to be reused.

        Raises:
            NotReady: a node did not become ready; the message holds its last log lines.
        """
        ...

    def return_cell(self, cell: CellDescription, *, reusable: bool) -> None:
        """Gives a cell back: to be leased again if it is reusable, else it is removed."""
        ...

    def capabilities(self, cell: CellDescription) -> Capabilities:
        """What can be done to the nodes of the cell."""
        ...

    def cells(self) -> list[CellDescription]:
        """The cells there are, leased or free; what `health` and `inspect` show."""
        ...

    def exits(self, cell: CellDescription, after: int) -> list[ProcessEvent]:
        """The exits of the cell's nodes, and of what it shares, with a sequence number above `after`."""
        ...

    def close(self) -> None:
        """Ends this process's use: an environment that is not kept goes away with its first process."""
        ...

    def stop(self) -> None:
        """Ends the environment, kept or not, and removes everything it had."""
        ...


class Provider(Protocol):
    """Brings an environment up in one particular way."""

    @property
    def name(self) -> str: ...

    def check(self, environment: Environment, driver: Driver) -> list[Finding]:
        """What the environment needs and whether it is there. Changes nothing."""
        ...

    def open(self, environment: Environment, driver: Driver, *, keep: bool = False, progress: Progress) -> Provision:
        """Brings the environment up, or attaches to a kept one; called by the first process of a run.

        Raises:
            ProviderUnavailable: something cannot be had on this machine.
            NotReady: something was started and did not become ready.
        """
        ...

    def attach(self, environment: Environment, driver: Driver) -> Provision | None:
        """The kept environment, for the command line, if it is up; starts nothing."""
        ...

    def join(self, environment: Environment, driver: Driver, handle: str) -> Provision:
        """The same environment in another process of the run.

        Raises:
            SupervisorGone: it is not there any more.
        """
        ...
