from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from uuid import uuid4

import pytest

from airproof.cells import Cell
from airproof.environment.topology import CLIENT, Link
from airproof.errors import PlatformError, StartRefused, WaitTimeout
from airproof.faults.nemesis import schedule
from airproof.faults.nemesis.kinds import KINDS
from airproof.fixtures.nemesis import NemesisOfTest
from airproof.fixtures.seeds import nemesis_seeds
from airproof.platform.driver import Platform, SagaInput, Tenant
from airproof.platform.manifest import Saga
from airproof.platform.observation import MessageKind
from airproof.plugin import manifest
from airproof.waiting import wait_until
from airproof_e2e.saga.judging import judge
from airproof_e2e.saga.messages import BROKER, DATABASE, MAIL
from airproof_e2e.saga.moments import services_of
from airproof_e2e.saga.stage import WAIT_S, Stage

SEEDS = (19, 41)
FAULTS = 4
# Who is asked to stop while others keep its requests from ending has to break them off, and rightly says so in its log.
KINDS_USED = tuple(kind for kind in KINDS if kind != "stopped")
AT_ONCE = 3
DISTURBED_S = 4.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each saga and each seed; `--airproof-nemesis` says other seeds."""
    if "schedule_seed" in metafunc.fixturenames:
        declared = manifest(metafunc.config)
        seeds = nemesis_seeds(metafunc.config, SEEDS)
        sagas = declared.sagas if declared else ()
        cases = [pytest.param(saga, seed, id=f"{saga.name}-{seed}") for saga in sagas for seed in seeds]
        metafunc.parametrize(("saga", "schedule_seed"), cases)


@pytest.mark.destructive
@pytest.mark.covers("SAGA-1", "CHAOS-1", "FI-1", "FI-2")
def test_sagas_under_a_nemesis(
    nemesis: NemesisOfTest, cell: Cell, platform: Platform, tenant: Tenant, saga: Saga, schedule_seed: int
) -> None:
    """Whatever several faults a seed chooses, every saga that somebody starts and asks for again completes, once."""
    stage = Stage(cell, platform, tenant, saga, None, disturbances=["nemesis"])
    faults = schedule(schedule_seed, _crossed(saga, cell.description.links), FAULTS, kinds=KINDS_USED)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
        with nemesis(faults, required=True):
            started = [users.submit(_start_and_follow, stage, stage.make_input()) for _ in range(AT_ONCE)]
            wait(started, DISTURBED_S)
        for one in started:
            one.result()
    judge(stage, f"every saga completes under the schedule of seed {schedule_seed}")


def _start_and_follow(stage: Stage, given: SagaInput) -> None:
    """Asks until there is an answer, always under the same key, and waits for the end; the judge looks at neither."""
    key = f"key-{uuid4()}"

    def answered() -> str:
        try:
            return stage.start(given, key=key)
        except StartRefused:
            raise
        except PlatformError:
            return ""

    try:
        saga_id = wait_until(answered, timeout_s=WAIT_S, describe="an answer to the start")
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.completed))
    except WaitTimeout:
        pass


def _crossed(saga: Saga, links: Sequence[Link]) -> list[Link]:
    """The links that messages of the saga cross: from its services to their backing, and on the way to its entrance."""
    services, backing = services_of(saga), {DATABASE, BROKER, MAIL, saga.orchestrator}
    within = [link for link in links if link.source in services and link.target in backing]
    inward = [link for link in links if link.target == saga.entrance and link.source != CLIENT]
    front = {link.source for link in inward}
    return [*(link for link in links if link.source == CLIENT and link.target in front), *inward, *within]
