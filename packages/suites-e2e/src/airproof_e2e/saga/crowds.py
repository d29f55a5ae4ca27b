"""Many sagas at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from airproof.platform.driver import SagaInput, Tenant
from airproof.platform.observation import SagaState
from airproof_e2e.saga.breakage import undo_refused
from airproof_e2e.saga.moments import last_refusable
from airproof_e2e.saga.stage import COMPENSATED, COMPLETED, FAILED, Stage

AT_ONCE = 5
ROOM = 1


def with_different_subjects(stage: Stage) -> None:
    """Many different people register at once."""
    _start_at_once(stage, [(stage.make_input(), COMPLETED) for _ in range(AT_ONCE)])


def with_the_same_subject(stage: Stage) -> None:
    """The same e-mail registers many times at once; one of them gets it."""
    first = stage.make_input()
    rivals = [first, *(stage.make_input(subject=first.subject) for _ in range(AT_ONCE - 1))]
    stage.allowance.completed = 1
    _start_at_once(stage, [(given, COMPLETED | COMPENSATED) for given in rivals])


def up_to_a_limit(stage: Stage) -> None:
    """More people register at once than the tenant has room for; another tenant's do not count."""
    other = Tenant(f"{stage.tenant.id}-other")
    stage.allowance.completed = ROOM
    rivals = [(stage.make_input(), COMPLETED | COMPENSATED) for _ in range(ROOM + 1)]
    neighbours = [(stage.make_input(tenant=other), COMPLETED) for _ in range(ROOM)]
    with stage.access.room(stage.step.name, stage.tenant, ROOM):
        for saga_id in _start_at_once(stage, [*neighbours, *rivals]):
            stage.wait_end(saga_id)


def in_two_tenants(stage: Stage) -> None:
    """Two tenants register people side by side; nothing of the one may be done or undone, of the other everything."""
    other = Tenant(f"{stage.tenant.id}-other")
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
