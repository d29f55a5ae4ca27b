"""Requests over HTTP, in whoever's name, and what is answered. The requests there are stand in the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airproof.platform.driver import Tenant
    from airproof.platform.entities import EntityRef
    from airproof.platform.manifest import Route, Step
    from airproof.platform.observation import SagaState

NO_PLAIN_TEXT = "'*/--;%s{0}@x.y"
"""What ids that clients choose may hold, and what shows where one is taken for anything else than text."""


class Session(StrEnum):
    """What a request to the gateway shows to say in whose name it is made.

    `FORGED` and `GARBLED` are tokens that the platform did not give; `LOGGED_OUT`, `EXCHANGED` and `EXPIRED` ones that
    it has taken back; `REFRESH` is one for another purpose.
    """

    NONE = "no token"
    FORGED = "a forged token"
    GARBLED = "a token, and an operator's key, with letters that are none of a header's"
    LOGGED_OUT = "the token of a session that is over, or one that was got with what is left of it"
    EXCHANGED = "a token that was exchanged for another, or one that was got by exchanging it again"
    EXPIRED = "a token that is over its time"
    REFRESH = "a token that is good for getting another one, or one that was got with a token that is not"
    USER = "a user's token"
    OPERATOR = "an operator's key"
    NO_OPERATOR = "a wrong operator's key"
    NEARLY_OPERATOR = "an operator's key in letters of the other case"


class ServiceToken(StrEnum):
    """What a request to a service itself shows to say that it comes from another service."""

    NONE = "no token"
    FORGED = "a token signed with another secret"
    UNSIGNED = "a token without a signature"
    EXPIRED = "a token that has expired"
    FOR_ANOTHER = "a token for another service"
    FOR_ALIKE = "a token for what is called nearly the same"
    FOR_NOBODY = "a token for no service in particular"
    ENDLESS = "a token that never expires"
    NOT_YET = "a token of a time to come"
    VALID = "a valid token"
    OPERATOR = "an operator's key, and no token"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.

    Attributes:
        correlation_ids: every correlation id that its head and, if it is an error, its body names; empty where none is.
        error: what the platform calls the error, in the one shape that its errors have; empty for none.
        readable: whether it is what its head says that it is.
        again_in_s: after how many seconds to try again, as it says; None if it does not.
        allows: the methods that there are instead, as it says; empty if it does not.
        open_to: which pages of other sites browsers let read it, as it says; empty for none.
        kept_for_s: how long browsers, and who else is on the way, may keep it and show it again, as it says.
    """

    status: int
    text: str
    correlation_ids: tuple[str, ...] = ()
    error: str = ""
    readable: bool = True
    again_in_s: float | None = None
    allows: str = ""
    open_to: str = ""
    kept_for_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.status} {self.text[:200]}"

    def at(self, place: str) -> Any:
        """What stands at that place: `data.0.name`; None for nothing."""
        try:
            found = json.loads(self.text)
            for name in place.split("."):
                found = found[int(name) if isinstance(found, list) else name]
        except (ValueError, LookupError, TypeError):
            return None
        return found

    def without(self, *own: str) -> str:
        """The same without what is its own alone: its correlation ids, and those texts."""
        told = f"{self.status} {self.text}"
        for text in filter(None, (*self.correlation_ids, *own)):
            told = told.replace(text, "…")
        return told


@dataclass(frozen=True, slots=True)
class Request:
    """One request for an entity.

    Attributes:
        session: in whose name; of `user`, where that is one who can log in.
        user: an entity of the user who asks; None: the owner.
        path: another spelling of the route's path; empty: the route's own.
        pretended: an entity of the user, and of the tenant, that the request says in its headers it comes from.
        correlation_id: the request's own; empty sends none.
        key: the idempotency key; empty sends none.
        fields: of the body, other than the route's.
        left_out: a field of the route's body that is not sent.
        raw: what is sent in the place of the body; None for what the route says.
        method: another than the route's; empty: the route's own.
        chunked: whether the body is sent in pieces, without being told beforehand how long it is.
        content_type: what is said of the kind of the body; empty: as the platform's clients say it.
        halfway: what is done when half of the route's body is on its way, before the rest is sent.
        token: what is shown in the place of a token of the session; empty: the session's own.
    """

    route: Route
    about: EntityRef
    session: Session = Session.USER
    user: EntityRef | None = None
    path: str = ""
    pretended: EntityRef | None = None
    correlation_id: str = ""
    key: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""
    raw: bytes | None = None
    method: str = ""
    chunked: bool = False
    content_type: str = ""
    halfway: Callable[[], object] | None = None
    token: str = field(default="", repr=False)


class RequestAccess(Protocol):
    """The platform's doors. Safe to use from several threads.

    Every method raises `PlatformError` where nobody answers.
    """

    def path(self, route: Route, about: EntityRef) -> str:
        """The route's path for that entity."""
        ...

    def body(self, route: Route, about: EntityRef) -> dict[str, Any]:
        """The route's body for that entity; empty for none."""
        ...

    def ask(self, request: Request) -> Answer:
        """Makes the request at the gateway, once, as browsers do for a page of another site."""
        ...

    def unfinished(self, request: Request, count: int) -> AbstractContextManager[None]:
        """So many clients of the gateway have said half of the request, and as many nothing, until the context ends."""
        ...

    def ask_service(
        self,
        route: Route,
        about: EntityRef,
        token: ServiceToken,
        fields: Mapping[str, Any] | None = None,
        *,
        node: str = "",
    ) -> Answer:
        """Makes the request in the gateway's place, at the route's service, once; `fields` as in `Request`.

        Args:
            node: which instance of the service is asked; empty: the first.
        """
        ...

    def ask_service_again(self, route: Route, about: EntityRef) -> tuple[Answer, Answer]:
        """Asks twice as `ask_service` does, with one token: while that is valid, and as soon as it has expired."""
        ...

    def shown(self, route: Route, about: EntityRef) -> dict[str, Any]:
        """What is known of the route's answer for that entity, by its place in it."""
        ...

    def allowed(self, user: EntityRef, about: EntityRef, action: str, *, whom: EntityRef | None = None) -> bool:
        """Whether the platform says to the owner of `user` that they, or the owner of `whom`, may do that with `about`.

        It does not if it refuses to say.
        """
        ...

    def exchange_at_once(self, user: EntityRef, times: int) -> int:
        """Logs the user in and exchanges what they got so often at the same time.

        Returns how many logins that are good when all is over came of it.
        """
        ...

    def secrets(self, *tenants: Tenant) -> tuple[str, ...]:
        """What may appear in no log and in no answer.

        All that was used so far, that of which the cell is made, and how the tenants' passwords are kept.
        """
        ...

    def personal(self, *tenants: Tenant) -> tuple[str, ...]:
        """Whatever names the tenants' users, in lower case, and may appear in no log."""
        ...

    def kept(self) -> tuple[str, ...]:
        """Where the platform keeps a password or a token as its user has shown it: tables, and kinds of keys."""
        ...

    def probe(self, service: str, path: str) -> int:
        """The status with which a service answers a probe."""
        ...

    def said(self, service: str, path: str) -> str:
        """What a service says there to whoever asks."""
        ...

    def counted(self, service: str) -> str:
        """What a service tells of what it has counted and measured, as text."""
        ...

    def answered(self, service: str) -> Mapping[int, float]:
        """How many requests a service has answered since it was started, by their status, as its metrics say."""
        ...

    def answered_in_s(self, service: str) -> float:
        """How long a service has taken for all of them together, as its metrics say."""
        ...

    def memory_bytes(self, service: str) -> float:
        """How much memory the process of a service takes now, as its metrics say.

        Raises:
            PlatformError: they do not.
        """
        ...

    def processor_s(self, service: str) -> float:
        """How much processor time that process has taken so far, as its metrics say.

        Raises:
            PlatformError: they do not.
        """
        ...

    def ended(self, service: str, state: SagaState) -> float:
        """How many sagas a service has brought to that state since it was started, as its metrics say."""
        ...

    def described(self, service: str) -> Collection[str]:
        """What a service says that it can be asked for: `GET /cars/{id}`, whatever it calls what stands in braces."""
        ...

    def differs(self, route: Route, answer: Answer) -> str:
        """What of an answer is not as its service says that it answers; empty if all is."""
        ...

    def handled(self, service: str) -> float:
        """How many messages a service has handled to the end since it was started, as its metrics say."""
        ...

    def repeated(self, service: str) -> float:
        """How many tries at messages have failed and were repeated since a service was started, as its metrics say."""
        ...

    def replied(self, step: Step, action: str, *, refused: bool) -> float:
        """How many commands to do or to undo a step its participant has refused, or has not, as its metrics say."""
        ...

    def sent(self, service: str) -> float:
        """How many messages of its own a service has sent since it was started, as its metrics say."""
        ...

    def looked_up(self, service: str, *, found: bool) -> float:
        """How many reads a service has answered from its caches, or has not, as its metrics say."""
        ...

    def given_up(self, service: str) -> float:
        """How many messages a service has given up since it was started, as its metrics say."""
        ...
