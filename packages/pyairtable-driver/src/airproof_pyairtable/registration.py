"""The user registration saga: drives it, sets its business preconditions, and reads what it did."""

from __future__ import annotations

import math
import random
import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import EffectBlock, SagaInput, Tenant, Write
from airproof.platform.manifest import Saga
from airproof.platform.observation import (
    BusMessage,
    Effect,
    Mail,
    MessageKind,
    SagaObservation,
    SagaReadout,
    SagaState,
    StepReadout,
    StepState,
)
from airproof.waiting import wait_until
from airproof_pyairtable import blocks
from airproof_pyairtable.bus import Bus
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.http import MOST_SAGAS_A_PAGE, SAGAS_A_PAGE, Http
from airproof_pyairtable.manifest import REGISTRATION
from airproof_pyairtable.places import EFFECTS, database_of, written_table
from airproof_pyairtable.poison import forged_commands, forged_replies, new_event
from airproof_pyairtable.readouts import Whose, read_holdings

FIRST_NAMES = ("Ada", "Alan", "Barbara", "Edsger", "Frances", "Grace", "Ivan", "Jürgen", "Leslie", "Zoë")
LAST_NAMES = ("Allen", "Dijkstra", "Hopper", "Lamport", "Liskov", "Lovelace", "O'Neil", "Sutherland", "Turing", "Weiß")
RIVAL_TIMEOUT_S = 20.0
LOOK_AGAIN_S = 0.5
PASSWORD_BYTES = 100
"""Long, so that a password which is not looked at as a whole is found out."""

_PUT_OFF = "UPDATE saga_instances SET timer_at = now() + %(by_s)s * interval '1 second' WHERE id = %(saga)s"
UNKNOWN = "of_tomorrow"
_OFTEN = """
WITH saga AS (SELECT id FROM saga_instances WHERE id = %(saga)s FOR UPDATE)
UPDATE saga_steps SET attempts = %(times)s FROM saga WHERE saga_id = saga.id AND name = %(step)s
"""
_RENAME = "UPDATE saga_instances SET saga_type = %(type)s WHERE id = %(saga)s"
_ASKED = "SELECT attempts FROM saga_steps WHERE saga_id = %(saga)s AND name = %(step)s"
_NEXT = "SELECT extract(epoch FROM timer_at - now())::float AS in_s FROM saga_instances WHERE id = %(saga)s"
_ALLOWED = """
SELECT id::text AS saga, extract(epoch FROM deadline_at - created_at)::float AS allowed_s FROM saga_instances
WHERE id::text = ANY (%(sagas)s)
"""
_WAITING = """
WITH saga AS (
    INSERT INTO saga_instances (id, saga_type, tenant_id, correlation_id, state, input, context, deadline_at, timer_at,
                                version, created_at)
    SELECT overlay(gen_random_uuid()::text PLACING '00000000' FROM 1)::uuid, %(type)s, %(tenant)s, gen_random_uuid(),
           %(state)s, '{}', '{}', now() - interval '1 hour', now() + %(in_h)s * interval '1 hour', 1,
           now() - interval '2 hours'
    FROM generate_series(1, %(count)s)
    RETURNING id, timer_at
)
INSERT INTO saga_steps (saga_id, position, name, state, attempts, result, resend_at)
SELECT id, 0, %(step)s, 'running', 1, '{}', timer_at FROM saga
"""
_COPY = """
INSERT INTO {table}
SELECT (jsonb_populate_record(NULL::{table}, kept || jsonb_build_object(
    'id', md5(n || (kept->>'id')), 'saga_id', md5(n || (kept->>'saga_id')), 'resource_id', n,
    'created_at', now() - interval '2 days'))).*
FROM (SELECT to_jsonb(one) AS kept FROM {table} one WHERE tenant_id = %(tenant)s LIMIT 1) one,
     generate_series(1, %(count)s - (SELECT count(*) FROM {table} WHERE tenant_id = %(tenant)s)) n
"""
_REMOVE_COPIES = "DELETE FROM {table} WHERE tenant_id = %(tenant)s AND created_at < now() - interval '1 day'"
_REMOVE = """
WITH steps AS (DELETE FROM saga_steps USING saga_instances WHERE id = saga_id AND tenant_id = %(tenant)s)
DELETE FROM saga_instances WHERE tenant_id = %(tenant)s
"""
_TERMINAL = (REGISTRATION.completed, REGISTRATION.compensated, REGISTRATION.needs_attention)


@dataclass(frozen=True, slots=True)
class Started:
    """A start that was accepted."""

    given: SagaInput
    key: str


class Registration:
    """The registration saga of one cell; see `airproof.platform.driver.SagaAccess`. Safe for several threads."""

    saga: Saga = REGISTRATION

    def __init__(self, http: Http, databases: Databases, bus: Bus, seed: int) -> None:
        self._http = http
        self._databases = databases
        self._bus = bus
        self._seed = seed
        self._made: dict[str, int] = {}
        self._started: dict[str, Started] = {}
        self._told: dict[str, SagaState] = {}
        self._lock = threading.Lock()

    def make_input(self, tenant: Tenant, *, subject: str | None = None) -> SagaInput:
        """A new person of the tenant with an e-mail of their own, or with the given one.

        An address is the same in other letters, and a tenant is not.
        """
        domain = tenant.id.lower()
        with self._lock:
            number = self._made[domain] = self._made.get(domain, 0) + 1
        chance = random.Random(f"{self._seed}/{tenant.id}/{number}")  # noqa: S311  the same data for the same seed
        password = f"pw-{chance.randbytes(PASSWORD_BYTES).hex()}"
        fields: dict[str, Any] = {
            "email": subject or f"user{number}@{domain}.example",
            "password": password,
            "first_name": chance.choice(FIRST_NAMES),
            "last_name": chance.choice(LAST_NAMES),
            "tenant_id": tenant.id,
        }
        return SagaInput(tenant, fields["email"], fields, (password,), fields["first_name"])

    def respelled(self, given: SagaInput) -> SagaInput:
        """The address in capitals."""
        return replace(given, fields={**given.fields, "email": given.subject.upper()})

    def start(self, given: SagaInput, *, key: str | None = None, deadline_s: float | None = None) -> str:
        """Registers the person; see `SagaAccess.start`."""
        key = str(uuid.uuid4()) if key is None else key
        fields: dict[str, Any] = {**given.fields}
        if deadline_s is not None:
            fields["deadline_s"] = deadline_s
        saga_id, state = self._http.register(fields, key)
        with self._lock:
            self._started.setdefault(saga_id, Started(given, key))
            self._told[saga_id] = state
        return saga_id

    def told(self, saga_id: str) -> SagaState:
        """The status in the last answer to a registration."""
        return self._told[saga_id]

    def read(self, saga_id: str) -> SagaReadout:
        """The saga as the orchestrator reports it now."""
        return _readout(self._http.saga(saga_id))

    def listed(self, tenant: Tenant, *, large: bool = False) -> list[str]:
        """The sagas of the tenant as the orchestrator lists them."""
        a_page = MOST_SAGAS_A_PAGE if large else SAGAS_A_PAGE
        return [str(one["saga_id"]) for one in self._http.sagas(tenant.id, a_page)]

    def wait_terminal(self, saga_id: str, *, timeout_s: float) -> SagaReadout:
        """Waits for the event that ends the saga and reads it then; without that event it looks now and again."""
        last: list[SagaReadout] = []

        def terminal() -> SagaReadout | None:
            with suppress(WaitTimeout):
                self._bus.log.wait(lambda: self._end_of(saga_id), LOOK_AGAIN_S, "the end of the saga")
            last[:] = [self.read(saga_id)]
            return last[0] if last[0].state.terminal else None

        try:
            return wait_until(terminal, timeout_s=timeout_s, describe=f"saga {saga_id} to end")
        except WaitTimeout as error:
            raise WaitTimeout(f"{error}; it is {last}", last=last[0], timeout_s=timeout_s) from error

    def usable(self, given: SagaInput) -> bool:
        """Asked in another spelling: an address is the same in capitals, and with blanks round it."""
        return self._http.lets_in(f" {given.subject.upper()} ", given.fields["password"])

    @contextmanager
    def refuse(self, step: str, given: SagaInput) -> Iterator[None]:
        """Takes the e-mail, uses the limit up, or has the mail server reject the recipient."""
        if step == "create_credentials":
            self._take_email(given)
            yield
        elif step == REGISTRATION.sends_mail_in:
            self._http.reject_recipient(given.subject, rejected=True)
            try:
                yield
            finally:
                self._http.reject_recipient(given.subject, rejected=False)
        else:
            with self.room(step, given.tenant, 0):
                yield

    @contextmanager
    def room(self, step: str, tenant: Tenant, count: int) -> Iterator[None]:
        """Sets the tenant's limit at the participant, after a wider and a narrower one: the last one counts."""
        participant = REGISTRATION.step(step).participant
        for limit in (count + 1, 0, count):
            self._http.set_limit(participant, tenant.id, limit)
        try:
            yield
        finally:
            self._http.set_limit(participant, tenant.id, None)

    @contextmanager
    def filled(self, step: str, tenant: Tenant, room: int) -> Iterator[None]:
        """Copies a row of the tenant's."""
        wanted = REGISTRATION.step(step)
        place, limit = EFFECTS[wanted.effect], wanted.refusal.limit if wanted.refusal else 0
        copy, remove = (text.format(table=place.table) for text in (_COPY, _REMOVE_COPIES))
        self._databases.all(place.database, copy, {"tenant": tenant.id, "count": limit - room})
        try:
            yield
        finally:
            self._databases.all(place.database, remove, {"tenant": tenant.id})

    def start_unidentified(self, given: SagaInput) -> str:
        """Asks the orchestrator for the saga without the token that services carry."""
        fields = {name: value for name, value in given.fields.items() if name not in {"tenant_id", "password"}}
        return self._http.start_saga(REGISTRATION.name, given.tenant.id, {**fields, "password_hash": "none"})

    @contextmanager
    def refuse_compensation(self, step: str, given: SagaInput) -> Iterator[None]:
        """Puts a legal hold on the tenant at the participant, and again, as who has not heard the answer does."""
        participant = REGISTRATION.step(step).participant
        for _ in range(2):
            self._http.set_legal_hold(participant, given.tenant.id, held=True)
        try:
            yield
        finally:
            self._http.set_legal_hold(participant, given.tenant.id, held=False)

    def block_effect(self, step: str) -> AbstractContextManager[EffectBlock]:
        """Holds the participant's transaction at the write of its effect."""
        return self.block_write(REGISTRATION.step(step).participant, Write.BUSINESS)

    def block_write(self, service: str, write: Write) -> AbstractContextManager[EffectBlock]:
        """Holds the service's transactions at that write; who writes to an outbox and who takes from it are apart."""
        statement = {Write.OUTBOX: "INSERT", Write.CLAIM: "WITH", Write.MAIL_CLAIM: "WITH"}.get(write, "")
        table = written_table(service, write)
        return blocks.hold_writes(self._databases, database_of(service), table, statement=statement)

    def in_transaction(self, service: str) -> bool:
        """Whether a connection of the service's database, other than ours, is in a transaction."""
        return blocks.in_transaction(self._databases, database_of(service))

    def hold_commits(self, service: str) -> AbstractContextManager[EffectBlock]:
        """Holds every commit of the cell; the block tells of the service's."""
        return blocks.hold_commits(self._databases, database_of(service))

    def effect(self, step: str, saga_id: str) -> Effect | None:
        """The committed effect of the step."""
        declared = REGISTRATION.step(step)
        place = EFFECTS[declared.effect]
        query = f"SELECT id, tenant_id FROM {place.table} WHERE saga_id = %(saga)s AND {place.condition}"  # noqa: S608
        row = self._databases.one(place.database, query, {"saga": saga_id})
        subject = self._started[saga_id].given.subject if saga_id in self._started else ""
        if row is None:
            return None
        return Effect(declared.participant, declared.effect, str(row["id"]), subject, saga_id, row["tenant_id"])

    def wait_message(
        self, saga_id: str, kind: MessageKind, type_: str, *, count: int = 1, timeout_s: float
    ) -> BusMessage:
        """Waits until the bus holds the count-th such message that the platform itself sent."""
        correlation = self._correlation(saga_id)

        def found() -> BusMessage | None:
            messages = [
                message
                for message in self._bus.log.of_correlation(correlation)
                if message.kind is kind and message.type == type_ and not message.injected
            ]
            return messages[count - 1] if len(messages) >= count else None

        return self._bus.log.wait(found, timeout_s, f"{kind.value} {type_} number {count} of saga {saga_id}")

    def redeliver(self, message: BusMessage, *, days: float = 0, elsewhere: bool = False) -> BusMessage:
        """Produces the record once more."""
        return self._bus.send_again(message, days, elsewhere=elsewhere)

    def rewind(self, group_of: str, topic: str, to: BusMessage) -> None:
        """Sets a stopped service's consumer group back to the record."""
        if topic != to.topic:
            raise ValueError(f"the record is of {to.topic!r}, not of {topic!r}")
        self._bus.rewind(group_of, to)

    def forge_replies(self, saga_id: str, step: str, other: Tenant) -> tuple[BusMessage, ...]:
        """Sends refusals of the step in the other tenant's name."""
        of = self._started[saga_id].given.tenant
        return self._bus.send_new(forged_replies(saga_id, step, of.id, other.id))

    def put_off_timers(self, saga_id: str, by_s: float) -> None:
        """Sets when the orchestrator looks at the saga next."""
        self._databases.all(database_of(REGISTRATION.orchestrator), _PUT_OFF, {"saga": saga_id, "by_s": by_s})

    @contextmanager
    def of_another_version(self, saga_id: str) -> Iterator[None]:
        """Renames its type."""
        database = database_of(REGISTRATION.orchestrator)
        self._databases.all(database, _RENAME, {"saga": saga_id, "type": UNKNOWN})
        try:
            yield
        finally:
            self._databases.all(database, _RENAME, {"saga": saga_id, "type": REGISTRATION.name})

    def ask_often(self, saga_id: str, step: str, times: int) -> None:
        """Sets how often the orchestrator has asked."""
        values = {"saga": saga_id, "step": step, "times": times}
        self._databases.all(database_of(REGISTRATION.orchestrator), _OFTEN, values)

    def asked(self, saga_id: str, step: str) -> int:
        """How often the orchestrator remembers to have asked."""
        row = self._databases.one(database_of(REGISTRATION.orchestrator), _ASKED, {"saga": saga_id, "step": step})
        return int(row["attempts"]) if row else 0

    def next_look_s(self, saga_id: str) -> float:
        """When the saga's next timer runs out."""
        row = self._databases.one(database_of(REGISTRATION.orchestrator), _NEXT, {"saga": saga_id})
        return math.inf if row is None or row["in_s"] is None else float(row["in_s"])

    @contextmanager
    def waiting(self, tenant: Tenant, count: int, *, known: bool = False) -> Iterator[None]:
        """Puts rows into the orchestrator's tables, some of which hold what it does not know."""
        database, share = database_of(REGISTRATION.orchestrator), -(-count // 3)
        told = {"type": REGISTRATION.name, "state": SagaState.RUNNING.value, "step": REGISTRATION.steps[0].name}
        try:
            with self._databases.transaction(database) as connection:
                connection.execute(_WAITING, {**told, "tenant": tenant.id, "count": count, "in_h": 1})
                for what in () if known else told:
                    unknown = {**told, what: UNKNOWN, "tenant": tenant.id, "count": share, "in_h": -1}
                    connection.execute(_WAITING, unknown)
            yield
        finally:
            with self._databases.transaction(database) as connection:
                connection.execute(_REMOVE, {"tenant": tenant.id})

    def forge_commands(self, saga_id: str, step: str, other: Tenant) -> tuple[BusMessage, ...]:
        """Sends commands to do and to undo the step in the other tenant's name."""
        of = self._started[saga_id].given.tenant
        return self._bus.send_new(forged_commands(saga_id, step, of.id, other.id))

    def forge_event(self, event: BusMessage, of: Tenant, *, elsewhere: bool = False) -> BusMessage:
        """Sends an event of another aggregate in the tenant's name."""
        place = self._bus.beside(event) if elsewhere else event.partition
        new = replace(new_event(event.type, event.topic, of.id, event.payload), partition=place)
        (sent,) = self._bus.send_new([new])
        return sent

    def observe(self, tenant: Tenant) -> SagaObservation:
        """Reads everything the tenant's sagas left behind, everywhere."""
        with self._lock:
            started = {id_: one for id_, one in self._started.items() if one.given.tenant == tenant}
            of_others = {one.key for one in self._started.values() if one.given.tenant != tenant}
        listed = {one.saga_id: one for one in map(_readout, self._http.sagas(tenant.id, SAGAS_A_PAGE))}
        unlisted = {id_: _readout(told) for id_ in started if id_ not in listed and (told := self._http.find_saga(id_))}
        sagas = {**unlisted, **listed}
        correlations = {*(one.key for one in started.values()), *(one.correlation_id for one in sagas.values())}
        correlations -= of_others
        subjects = {**dict.fromkeys(sagas, ""), **{id_: one.given.subject for id_, one in started.items()}}
        holdings = read_holdings(self._databases, Whose(tenant.id, subjects, correlations))
        self._bus.fence()
        recipients = {one.given.subject for one in started.values()}
        usable, unread = dict[str, bool](), list[str]()
        for id_, one in started.items():
            try:
                usable[id_] = self.usable(one.given)
            except PlatformError as error:
                unread.append(f"whether saga {id_} works: {error}")
        return SagaObservation(
            tenant_id=tenant.id,
            sagas=self._with_deadlines(sagas),
            effects=holdings.effects,
            events=holdings.events,
            outbox=holdings.outbox,
            bus=tuple(self._bus.log.of(tenant.id, subjects, correlations)),
            mails=tuple(mail for mail in self._mails(recipients, started) if not self._is_of_another(mail, tenant)),
            usable=usable,
            figures=holdings.figures,
            unread=tuple(unread),
        )

    def _with_deadlines(self, sagas: dict[str, SagaReadout]) -> tuple[SagaReadout, ...]:
        rows = self._databases.all(database_of(REGISTRATION.orchestrator), _ALLOWED, {"sagas": list(sagas)})
        allowed_s = {row["saga"]: row["allowed_s"] for row in rows}
        return tuple(replace(one, allowed_s=allowed_s.get(id_)) for id_, one in sagas.items())

    def _mails(self, recipients: Collection[str], saga_ids: Collection[str]) -> list[Mail]:
        """Those to the recipients, and those of the sagas, whoever got them."""
        return [one for one in self._http.mails() if one.recipient in recipients or _saga_of(one) in saga_ids]

    def _is_of_another(self, mail: Mail, tenant: Tenant) -> bool:
        """Whether the mail is of a saga that was started for another tenant, such as a rival for the same e-mail."""
        started = self._started.get(_saga_of(mail))
        return started is not None and started.given.tenant != tenant

    def _take_email(self, given: SagaInput) -> None:
        """Registers the e-mail, in capitals, for somebody of another tenant."""
        rival = Tenant(f"{given.tenant.id}-rival")
        saga_id = self.start(self.make_input(rival, subject=given.subject.upper()))
        readout = self.wait_terminal(saga_id, timeout_s=RIVAL_TIMEOUT_S)
        if readout.state is not SagaState.COMPLETED:
            raise WaitTimeout(f"the rival's saga {saga_id} ended {readout.state.value}", last=readout)

    def _correlation(self, saga_id: str) -> str:
        started = self._started.get(saga_id)
        return started.key if started else self.read(saga_id).correlation_id

    def _end_of(self, saga_id: str) -> BusMessage | None:
        messages = self._bus.log.of_correlation(self._correlation(saga_id))
        return next((one for one in messages if one.type in _TERMINAL), None)


def _saga_of(mail: Mail) -> str:
    return mail.message_id.lstrip("<").partition(".")[0]


def _readout(told: dict[str, Any]) -> SagaReadout:
    steps = tuple(StepReadout(one["name"], StepState(one["state"]), one.get("reason") or "") for one in told["steps"])
    return SagaReadout(
        saga_id=told["saga_id"],
        state=SagaState(told["state"]),
        correlation_id=told["correlation_id"],
        tenant_id=told["tenant_id"],
        steps=steps,
        reason=told.get("reason") or "",
    )
