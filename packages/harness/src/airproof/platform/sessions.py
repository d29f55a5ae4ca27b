"""Sessions of a platform's users: what they get when they log in, what it is good for, and how long."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airproof.platform.driver import Tenant
    from airproof.platform.entities import EntityRef


@dataclass(frozen=True, slots=True)
class Login:
    """What a user got for their password, or in exchange for what they had got before.

    Attributes:
        token: what requests are made with.
        exchange: what another login is got for, once.
        lasts_s: how long the token is good, as it was said.
    """

    token: str = field(repr=False)
    exchange: str = field(repr=False)
    lasts_s: float


class SessionAccess(Protocol):
    """Logins, made through the gateway.

    Every method raises `PlatformError` where the platform can say neither yes nor no.
    """

    def log_in(self, user: EntityRef) -> Login | None:
        """Logs the user in; None if they are refused."""
        ...

    def ends_in_s(self, login: Login) -> float | None:
        """In how many seconds the login ends, as whoever shows its token is told; None if it is good for nothing."""
        ...

    def exchange(self, login: Login) -> Login | None:
        """Another login in exchange; None if that is refused."""
        ...

    def log_out(self, login: Login) -> None:
        """Ends the login."""
        ...

    def left_by_another_version(self, user: EntityRef, *, newer: bool) -> Login:
        """A login of the user as another version of the platform has left it: the one before, or one with more in it.

        Nobody has logged in for it.
        """
        ...

    def pass_time(self, login: Login, by_s: float) -> None:
        """Has all that the platform keeps of a login, which is of this object, be so much older."""
        ...

    def endless(self) -> tuple[str, ...]:
        """The kinds of what is kept of logins, anybody's, that would be kept for ever."""
        ...

    def locked(self, user: EntityRef) -> AbstractContextManager[None]:
        """Locks the user's account, as an operator may, until the context ends."""
        ...

    def slow_to_check(self, user: EntityRef) -> None:
        """Has the user's password, which stays the same, be kept so that checking it takes some tenths of a second."""
        ...

    def kept_passwords(self, tenant: Tenant) -> tuple[str, ...]:
        """How the platform keeps the password of each of the tenant's users."""
        ...

    def kept_cheaply(self, tenant: Tenant) -> tuple[str, ...]:
        """Those of them that cost less to guess at than the operator has said."""
        ...
