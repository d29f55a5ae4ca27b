"""All that is judged of one tenant's sagas."""

from __future__ import annotations

from collections.abc import Callable

from airproof.checkers.bus import check_bus
from airproof.checkers.commands import check_commands
from airproof.checkers.context import check_context
from airproof.checkers.effects import check_effects
from airproof.checkers.expectation import Expectation
from airproof.checkers.outbox import check_outbox
from airproof.checkers.saga import check_sagas
from airproof.checkers.times import check_times
from airproof.checkers.verdict import Verdict, attempt, combine
from airproof.platform.manifest import Saga
from airproof.platform.observation import SagaObservation


def judge_sagas(saga: Saga, observation: SagaObservation, expectation: Expectation) -> Verdict:
    """Every checker's verdict on what one tenant's sagas left behind, as one."""
    checks: dict[str, Callable[[], Verdict]] = {
        "saga": lambda: check_sagas(saga, observation, expectation),
        "effects": lambda: check_effects(saga, observation, expectation),
        "commands": lambda: check_commands(saga, observation, expectation),
        "bus": lambda: check_bus(observation, expectation),
        "outbox": lambda: check_outbox(observation, expectation),
        "context": lambda: check_context(saga, observation, expectation),
        "times": lambda: check_times(saga, observation, expectation),
    }
    return combine(attempt(name, check) for name, check in checks.items())
