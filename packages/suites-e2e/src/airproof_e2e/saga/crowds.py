"""Many sagas at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import EXECUTE
from airproof.platform.driver import SagaInput, Tenant, Write
from airproof.platform.observation import MessageKind, SagaState
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import held, undo_refused
from airproof_e2e.saga.moments import at_each_instance, last_refusable
from airproof_e2e.saga.stage import COMPENSATED, COMPLETED, FAILED, WAIT_S, Stage

AT_ONCE, LATE, MANY = 5, 8, 130
ROOM, SWALLOWED = 1, 3


def with_different_subjects(stage: Stage) -> None:
    """Many different people register at once, and another one after them; whoever lists them sees that, then and later.

    Of another tenant there are more than are listed at a time.
    """
    started = _start_at_once(stage, [(stage.make_input(), COMPLETED) for _ in range(AT_ONCE)])
    latest, listed = stage.start(), stage.access.listed(stage.tenant)
    if listed[:1] != [latest] or sorted(listed) != sorted([*started, latest]):
        promise = "the list of a tenant's sagas shows each once, the newest first"
        expected = f"{latest}, then in any order {started}"
        stage.anomalies.append(Anomaly("SAGA", "wrong-list", promise, expected, str(listed)))
    with stage.access.waiting(other := Tenant(f"{stage.tenant.id}-other"), MANY, known=True):
        if (seen := len(set(stage.access.listed(other, large=True)))) != MANY:
            promise = "whoever follows a list to its end has seen all"
            stage.anomalies.append(Anomaly("CONTRACT", "wrong-list", promise, f"{MANY} sagas", f"{seen} of them"))
    for saga_id in (*started, latest):
        stage.wait_end(saga_id)
    if (now := stage.access.listed(stage.tenant)) != listed:
        promise = "who goes through a list page by page sees each once, whatever goes on meanwhile"
        stage.anomalies.append(Anomaly("CONTRACT", "list-moves", promise, f"as before, {listed}", str(now)))
    _demand_own_count(stage, latest)


def _demand_own_count(stage: Stage, saga_id: str) -> None:
    """What others were asked for does not count; an ask may be swallowed by one that is still on its way."""
    commands = [one.type for one in stage.platform.bus.messages(saga_id) if one.kind is MessageKind.COMMAND]
    for step in stage.saga.steps:
        sent = commands.count(f"{step.name}.{EXECUTE}")
        if (asked := stage.access.asked(saga_id, step.name)) > sent + SWALLOWED:
            promise, expected = "how often somebody was asked is counted for each saga by itself", f"{sent} asks"
            facts = (f"saga {saga_id}", f"asked for {step.name}")
            stage.anomalies.append(Anomaly("SAGA", "asks-miscounted", promise, expected, str(asked), facts))


def with_the_same_subject(stage: Stage) -> None:
    """The same e-mail registers many times, at all instances at once; one of them gets it.

    Others come late. So many fail at once that their events would hardly come in the right order by chance.
    """
    subject, steps = stage.make_input().subject, stage.saga.steps
    decides = next((step for step in steps if step.refusal and not step.refusal.limit), steps[0])
    stage.allowance.completed = ROOM
    _meet(stage.at(decides), lambda: stage.make_input(subject=subject))
    for _ in range(LATE):
        stage.start(stage.make_input(subject=subject), ends=COMPLETED | COMPENSATED)


def up_to_a_limit(stage: Stage) -> None:
    """More people register, at all instances at once, than the tenant has room for, by the rule that was set last.

    Each instance has let some in before there was a rule. Those of other tenants do not count, of which one is called
    the same but for the case of letters. Where no rule was set, a tenant has the room that all have, and by a rule it
    may have more.
    """
    others = Tenant(f"{stage.tenant.id}-other"), Tenant(stage.tenant.id.upper())
    theirs = [stage.start(stage.make_input(tenant=other)) for other in others for _ in range(ROOM)]
    there = at_each_instance(stage, stage.saga.steps[0], stage.start)
    for saga_id in (*theirs, *there):
        stage.wait_end(saga_id)
    stage.allowance.completed = room = len(there) + ROOM
    step, tenant = stage.step.name, stage.tenant
    with stage.access.room(step, tenant, room + ROOM), stage.access.room(step, tenant, room):
        for saga_id in _meet(stage, stage.make_input):
            stage.wait_end(saga_id)
    _up_to_the_default(stage, others[0])


def _up_to_the_default(stage: Stage, tenant: Tenant) -> None:
    """And then up to a limit that is above it."""
    step, limit = stage.step.name, stage.step.refusal.limit if stage.step.refusal else 0
    with stage.access.filled(step, tenant, ROOM):
        _until_refused(stage, tenant)
    with stage.access.room(step, tenant, limit + ROOM), stage.access.filled(step, tenant, 0):
        _until_refused(stage, tenant)


def _until_refused(stage: Stage, tenant: Tenant) -> None:
    for refused in (*[None] * ROOM, stage.step):
        given, ends = stage.make_input(tenant=tenant), COMPENSATED if refused else COMPLETED
        stage.wait_end(stage.start(given, ends=ends, refused=refused))


def _meet(stage: Stage, make_rival: Callable[[], SagaInput]) -> list[str]:
    """Rivals are where each instance of the step's participant is about to write for one, and go on together."""
    service = stage.step.participant
    instances = len(stage.cell.description.instances(service))
    with held(stage, service, Write.BUSINESS) as block:
        rivals = at_each_instance(stage, stage.step, lambda: stage.start(make_rival(), ends=COMPLETED | COMPENSATED))
        together = f"{instances} instances of {service} to write"
        wait_until(lambda: block.waiting() >= instances, timeout_s=WAIT_S, describe=together)
    return rivals


def in_two_tenants(stage: Stage) -> None:
    """Two tenants register people side by side; nothing of the one may be done or undone, of the other everything.

    They are called the same but for the case of letters.
    """
    other = Tenant(stage.tenant.id.upper())
    limited = next((step for step in stage.saga.steps if step.refusal and step.refusal.limit), None)
    refuser, theirs, ours = last_refusable(stage), stage.make_input(tenant=other), stage.make_input()
    with ExitStack() as preconditions:
        preconditions.enter_context(stage.access.refuse(refuser.name, ours))
        if limited:
            preconditions.enter_context(stage.access.refuse(limited.name, theirs))
        for step in stage.saga.compensable:
            if step.compensation and step.compensation.refusal:
                preconditions.enter_context(undo_refused(stage, step, theirs))
        _set_and_take_back(stage, ours)
        kept = [s for s in stage.saga.before(limited.name) if s.compensation] if limited else []
        started = [
            stage.start(
                theirs, ends=FAILED if kept else COMPENSATED if limited else COMPLETED, refused=limited, kept=kept
            ),
            stage.start(ours, ends=COMPENSATED, refused=refuser),
            *_start_at_once(stage, [(stage.make_input(), COMPLETED) for _ in range(AT_ONCE // 2)]),
        ]
        for saga_id in started:
            stage.wait_end(saga_id)
    _demand_own_rules(stage)


def _demand_own_rules(stage: Stage) -> None:
    for tenant, allowance in stage.allowances.items():
        elsewhere = {id_ for one, other in stage.allowances.items() if one != tenant for id_ in other.endings}
        if wrong := sorted(elsewhere.intersection(stage.access.listed(tenant))):
            promise, seen = "a list of sagas is of one tenant alone", f"{len(wrong)} of another"
            stage.anomalies.append(
                Anomaly("TENANCY", "listed-to-another", promise, f"of {tenant.id}", seen, tuple(wrong))
            )
        for saga_id, ending in allowance.endings.items():
            state = stage.access.read(saga_id).state
            if state not in ending.states:
                promise = "the rules of a tenant hold for that tenant alone, until they are taken back for it"
                expected, facts = " or ".join(sorted(ending.states)), (f"saga {saga_id} of {tenant.id}",)
                stage.anomalies.append(Anomaly("TENANCY", "rule-of-another", promise, expected, state, facts))


def _set_and_take_back(stage: Stage, given: SagaInput) -> None:
    """Rules of a tenant come and go; those of others stay."""
    for step in stage.saga.steps:
        if step.compensation and step.compensation.refusal:
            with stage.access.refuse_compensation(step.name, given):
                pass
        if step.refusal and step.refusal.limit:
            with stage.access.room(step.name, given.tenant, ROOM):
                pass


def _start_at_once(stage: Stage, wanted: Sequence[tuple[SagaInput, frozenset[SagaState]]]) -> list[str]:
    with ThreadPoolExecutor(max_workers=len(wanted), thread_name_prefix="user") as users:
        return list(users.map(lambda one: stage.start(one[0], ends=one[1]), wanted))
