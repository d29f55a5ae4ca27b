"""What a scenario allows: how each saga may end, and what may be left on the bus and in the outboxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airproof.platform.observation import SagaState

SETTLED = frozenset({SagaState.COMPLETED, SagaState.COMPENSATED})


@dataclass(frozen=True, slots=True)
class Ending:
    """How one saga may end.

    Attributes:
        subject: what identifies its effects.
        states: the terminal states that are allowed.
        refused: the step that must be the one refused unless the saga completes; None: any, or none.
        kept: the steps whose compensation was made impossible, so that their effects stay.
        may_time_out: whether its deadline may pass, so that it may give up though nobody refused.
        greeted: what its mail calls its user; empty if it does not.
        allowed_s: how long it may take, from its start to its deadline; None if that is not asked.
        given: what of its input is no secret, for what its effects have to say of it.
    """

    saga_id: str
    subject: str
    states: frozenset[SagaState] = frozenset({SagaState.COMPLETED})
    refused: str | None = None
    kept: frozenset[str] = frozenset()
    may_time_out: bool = False
    greeted: str = ""
    allowed_s: float | None = None
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one tenant's sagas may leave behind.

    Attributes:
        endings: one for every saga of the tenant; there may be no other.
        completed: how many of them complete, where only the number is certain.
        calm: nothing was broken and nothing sent again, so no event may be on the bus twice.
        mails_once: nothing was done for which a mail may be sent twice.
        parked: ids of the messages that must lie among the dead letters.
        held_back: ids of the messages that must lie unpublished in an outbox.
        foreign: ids of messages that the harness put into outboxes; they belong to no saga and must arrive.
        secrets: values that may be in no message.
        tests: the category of what is put to the test; blamed where what is left does not say whose mistake it is.
    """

    endings: tuple[Ending, ...]
    completed: int | None = None
    calm: bool = False
    mails_once: bool = False
    parked: frozenset[str] = frozenset()
    held_back: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    tests: str = "SAGA"
