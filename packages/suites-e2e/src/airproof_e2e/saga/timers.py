"""What scenarios do to timers, which give a saga up at its deadline: late, hidden, of an instance that is lost."""

from __future__ import annotations

import time

from airproof.platform.driver import Write
from airproof.platform.observation import MessageKind
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import held, killed, others_waiting, timers_late
from airproof_e2e.saga.moments import before_deadline
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

LATE_S = 3600.0
OTHERS = 60
"""More than a platform looks at at a time."""
DEADLINE_S = 1.0


def late(stage: Stage) -> None:
    """The saga's timers are late: when the participant answers, nobody has noticed that the deadline has passed."""

    def then(saga_id: str, passes_at: float) -> None:
        with timers_late(stage, saga_id, LATE_S):
            wait_until(lambda: time.monotonic() > passes_at, timeout_s=WAIT_S, describe="the deadline to pass")

    before_deadline(stage, COMPENSATED, then)


def among_others(stage: Stage) -> None:
    """While the participant hangs many older sagas wait, and as many are due that another version has left."""

    def then(saga_id: str, _: float) -> None:
        with others_waiting(stage, OTHERS):
            stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed))

    before_deadline(stage, COMPENSATED, then)


def of_a_lost_instance(stage: Stage) -> None:
    """The instance that has started a saga is killed and stays away; the others have only just come back."""
    first = stage.saga.steps[0]
    own, *others = stage.cell.description.instances(stage.orchestrator)
    with held(stage, first.participant, Write.BUSINESS):
        for other in others:
            with killed(stage, other.name):
                pass
        saga_id = stage.start(deadline_s=DEADLINE_S, ends=COMPENSATED)
        stage.command(saga_id, first)
        with killed(stage, own.name):
            stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed))
