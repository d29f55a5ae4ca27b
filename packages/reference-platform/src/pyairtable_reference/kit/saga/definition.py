"""How a saga is declared: its steps in order, who does them, what they are told, where it becomes irrevocable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step.

    Attributes:
        payload: what the participant is told, from the saga's input and the results of earlier steps.
        compensable: whether it can be undone.
    """

    name: str
    service: str
    payload: Callable[[JSON, JSON], JSON]
    compensable: bool = True


@dataclass(frozen=True, slots=True)
class SagaDefinition:
    """One kind of saga.

    Attributes:
        aggregate_type: the kind of aggregate its own events belong to.
        steps: in forward order.
        pivot: from the moment its command is issued the saga no longer gives up; only its refusal turns it back.
        input_fields: what the input must hold.
        started, completed, failed, compensated, needs_attention: event types.
    """

    name: str
    aggregate_type: str
    steps: tuple[StepDefinition, ...]
    pivot: str
    input_fields: frozenset[str]
    started: str
    completed: str
    failed: str
    compensated: str
    needs_attention: str

    def position(self, step: str) -> int:
        """Where a step stands.

        Raises:
            KeyError: the saga has no such step.
        """
        for position, known in enumerate(self.steps):
            if known.name == step:
                return position
        raise KeyError(step)
