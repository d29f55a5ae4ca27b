"""Many sagas at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from airproof.platform.driver import SagaInput, Tenant
from airproof.platform.observation import SagaState
from airproof_e2e.saga.stage import COMPENSATED, COMPLETED, Stage

AT_ONCE = 8


def with_different_subjects(stage: Stage) -> None:
    """Many different people register at once."""
    _start_at_once(stage, [stage.make_input() for _ in range(AT_ONCE)], COMPLETED)


def with_the_same_subject(stage: Stage) -> None:
    """The same e-mail registers many times at once; one of them gets it."""
    first = stage.make_input()
    rivals = [first, *(stage.make_input(subject=first.subject) for _ in range(AT_ONCE - 1))]
    stage.allowance.completed = 1
    _start_at_once(stage, rivals, COMPLETED | COMPENSATED)


def in_two_tenants(stage: Stage) -> None:
    """Two tenants register people side by side."""
    other = Tenant(f"{stage.tenant.id}-other")
    pairs = [(stage.make_input(), stage.make_input(tenant=other)) for _ in range(AT_ONCE // 2)]
    _start_at_once(stage, [given for pair in pairs for given in pair], COMPLETED)


def _start_at_once(stage: Stage, inputs: Sequence[SagaInput], ends: frozenset[SagaState]) -> None:
    with ThreadPoolExecutor(max_workers=len(inputs), thread_name_prefix="user") as users:
        list(users.map(lambda given: stage.start(given, ends=ends), inputs))
