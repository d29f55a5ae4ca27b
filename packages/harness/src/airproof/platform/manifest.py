"""The manifest: what a platform promises, as data. Scenarios are generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """A business precondition that makes a participant say no.

    Attributes:
        name: short and stable: `email-taken`.
        meaning: one clause for the report: "the e-mail belongs to another account".
        limit: how many effects of the step a tenant may have for which no rule was set; 0 if it is about none.
        lasts: whether what is refused once is refused whenever it is asked for.
    """

    name: str
    meaning: str
    limit: int = 0
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class Compensation:
    """What undoes a step.

    Attributes:
        event: the event type that tells the bus the effect is gone.
        refusal: the precondition that makes the participant refuse to undo; None if it never may.
        tells: what the event tells, by name; it may tell more.
    """

    event: str
    refusal: Refusal | None = None
    tells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a saga.

    Attributes:
        participant: the service that does it.
        effect: the kind of business fact it leaves at the participant: `credential`.
        event: the event type that tells the bus the effect is there.
        compensation: None for a step that cannot be undone (the pivot and what follows it).
        refusal: None for a step that must succeed in the end (retriable).
        tells: what the event tells, by name; it may tell more.
        holds: what the effect says of what the saga was started with, under its names: `{first_name}'s workspace`.
    """

    name: str
    participant: str
    effect: str
    event: str
    refusal: Refusal | None = None
    compensation: Compensation | None = None
    tells: tuple[str, ...] = ()
    holds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saga:
    """A business transaction over several services.

    Attributes:
        name: as the platform calls it: `user_registration`.
        orchestrator: the service that drives it.
        entrance: the service that takes a start from the user; it may be a participant too.
        steps: in forward order; compensations run in reverse.
        pivot: the step after whose success the saga can only go forward.
        started, completed, failed, compensated: event types of the saga itself.
        needs_attention: event type that says that a compensation failed for good; None if the platform has none.
        tells: what each event of the saga itself tells, by name; it may tell more.
        sends_mail_in: the step that sends a mail, if one does.
        sends_within_s: how long one attempt at sending it may take, in seconds.
        sends_at_once: how many an instance sends at a time.
        invalid: values of a field of a start, which it need not have, with which it is refused.
        invalid_keys: idempotency keys with which it is refused.
        unusual: values of a field of a start that are right, however odd they look. `{tenant}` in them is its own, and
            `{domain}` that as it stands in an address.
        deadline_s: how long a saga may take, in seconds, if its start does not say; None where that is not known.
        longest_deadline_s: how long one may take at most if its start does say.
    """

    name: str
    orchestrator: str
    steps: tuple[Step, ...]
    pivot: str
    started: str
    completed: str
    failed: str
    compensated: str
    entrance: str = ""
    needs_attention: str | None = None
    tells: tuple[str, ...] = ()
    sends_mail_in: str | None = None
    sends_within_s: float = 0.0
    sends_at_once: int = 1
    invalid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    invalid_keys: tuple[str, ...] = ()
    unusual: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deadline_s: float | None = None
    longest_deadline_s: float | None = None

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    def before(self, name: str) -> tuple[Step, ...]:
        """The steps that are done before the step of that name."""
        names = [step.name for step in self.steps]
        return self.steps[: names.index(name)]

    @property
    def events(self) -> tuple[str, ...]:
        """The event types of the saga itself."""
        own = (self.started, self.completed, self.failed, self.compensated, self.needs_attention)
        return tuple(event for event in own if event)

    @property
    def compensable(self) -> tuple[Step, ...]:
        """The steps that can be undone."""
        return tuple(step for step in self.steps if step.compensation)


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event that a service consumes to keep a figure of its own.

    Attributes:
        figure: as in `observation.Figure.name`.
    """

    service: str
    event: str
    figure: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of thing that users change at a version they have seen, and whose changes are a stream of events.

    Attributes:
        name: the type of the stream's aggregate: `workspace`.
        service: its owner, whose event store has the stream.
        created, changed, removed: the types of its events. The first has version 1.
        unusual: values that it may be given, however odd they look.
        tells: what the payload of each event of a change has.
        granted, denied: what its owner may do with it, and what not even they may, as the platform calls it. With the
            kind of a thing behind that is in it: `create project`.
    """

    name: str
    service: str
    created: str
    changed: str
    removed: str
    unusual: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cached:
    """A read of an entity that may be answered from a cache.

    Attributes:
        entity: what is read, as in `Entity.name`.
        node: what keeps the entries: `redis`.
        invalidated_by: the event types after whose consumption an older value is not read any more.
        stale_s: how long it may be read all the same after that, in seconds.
        longest_s: how long an entry may stay, in seconds, whatever was lost.
        shortest_s: how long it stays at least if nothing happens to it.
        keeper: as who the entity's service consumes those events, as dead letters say, if not as itself.
    """

    entity: str
    node: str
    invalidated_by: tuple[str, ...]
    stale_s: float = 0.0
    longest_s: float = 86_400.0
    shortest_s: float = 0.0
    keeper: str = ""


class Access(StrEnum):
    """Who may make a request about an entity."""

    OWNER = "the entity's owner"
    TENANT = "every user of the entity's tenant"
    USER = "every user, who sees what is theirs"
    SELF = "every user, who is told who they are"
    OPERATOR = "operators"
    SERVICE = "services of the platform"
    ANYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class Paged:
    """How a list of entities, which begins with the oldest, is shown in pages.

    Attributes:
        query: what asks for a page, with `{page}`, from 1 on, and `{limit}` in it.
        items: the place of what is on it.
        identity, version, value: where each of that tells these.
        has_next, has_prev: the places that say whether there is more.
    """

    query: str
    items: str
    identity: str
    version: str
    value: str
    has_next: str
    has_prev: str


@dataclass(frozen=True, slots=True)
class Route:
    """A request about an entity that the gateway passes on.

    Attributes:
        path: with `{id}`, `{owner}` and `{tenant}` of the entity in it, and `{saga}`, which made it.
        body: as JSON, with the same in its texts; None for none. In that of a login also `{email}` and `{password}`.
        service: who answers it.
        access: who may make it.
        changes: whether it changes the entity, so that it may be made once only.
        answered: with which status, to who may make it; of what is closed, with which it does no harm.
        invalid: values of a field of the body, which the body need not have, with which the request is refused.
        alike: fields of the body whose text means the same in capitals, and with blanks around it.
        invalid_query: the same of the parameters behind the path, as they are spelled there.
        shows: what of the answer is known, by its place in it: `data.0.name`; texts as in `body`.
        kinds: of what kind is what it shows besides: `int`, `str`.
        queries: other parameters that may stand behind the path, or none, and what is shown then.
        paged: how it shows what it lists; None for no list.
        from_replica: whether what it shows is read from a read replica alone, which spares the primary.
        settled: what it shows besides once nothing moves any more.
    """

    name: str
    method: str
    path: str
    entity: str
    service: str
    access: Access
    body: Mapping[str, Any] | None = None
    changes: bool = False
    answered: int = 200
    invalid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    alike: tuple[str, ...] = ()
    invalid_query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shows: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, type] = field(default_factory=dict)
    queries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    paged: Paged | None = None
    from_replica: bool = False
    settled: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """A deployable of the platform.

    Attributes:
        database: its own database, or None.
        connections: how many connections to it the service may have; 0: the platform does not say.
        sends_at_once: how many messages an instance takes from its outbox at a time; 0: the platform does not say.
        calls: the services, and the mail server (`smtp`), that it talks to itself. Who talks to Kafka and Redis is not
            said: every service may.
        ready_path: answers 200 when it can work.
        metrics_path: tells what it has counted and measured.
        description_path: tells, for machines, what it can be asked for.
    """

    name: str
    database: str | None = None
    connections: int = 0
    sends_at_once: int = 0
    calls: tuple[str, ...] = ()
    health_path: str = "/health"
    ready_path: str = "/ready"
    metrics_path: str = "/metrics"
    description_path: str = "/openapi.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a platform declares about itself.

    Attributes:
        closed: requests that no user may make, at the gateway or past it; they do no harm.
        refused: requests that anybody may make and that, as they stand here, are right in form, refused and do nothing.
        gateway: the service at which users and operators make their requests.
        identity: the service that says whose token it is.
        secrets: of those of a cell, what every service needs to know who may ask it.
        tokens_last_s: how long that is good, in a cell, with which one service asks another; 0: not known.
        token_header: the header that holds it; empty where there is none.
        attempts: how often at most the gateway asks a service for what one request wants.
        largest_request: how many bytes the body of a request may have; 0: the platform does not say.
        longest_key: how many letters an idempotency key may have, all of which count.
        exchangeable_s: how long what somebody got at a login can be exchanged; 0: the platform does not say.
        errors: what errors are called, for programs, by their status; of a status that is not there nothing is said.
        key_reused: what of these tells that an idempotency key was used for something else.
    """

    name: str
    services: tuple[Service, ...]
    sagas: tuple[Saga, ...]
    subscriptions: tuple[Subscription, ...] = ()
    entities: tuple[Entity, ...] = ()
    caches: tuple[Cached, ...] = ()
    routes: tuple[Route, ...] = ()
    closed: tuple[Route, ...] = ()
    refused: tuple[Route, ...] = ()
    gateway: str = ""
    identity: str = ""
    secrets: tuple[str, ...] = ()
    tokens_last_s: float = 0.0
    token_header: str = ""
    attempts: int = 1
    largest_request: int = 0
    longest_key: int = 36
    exchangeable_s: float = 0.0
    errors: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    key_reused: str = ""

    def entity(self, name: str) -> Entity:
        """The entity of that name."""
        return next(entity for entity in self.entities if entity.name == name)

    def service(self, name: str) -> Service:
        """The service of that name."""
        return next(service for service in self.services if service.name == name)

    def saga(self, name: str) -> Saga:
        """The saga of that name."""
        return next(saga for saga in self.sagas if saga.name == name)
