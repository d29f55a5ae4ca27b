"""What scenarios do to what all services need: it is away for a while, and comes back."""

from __future__ import annotations

import time
from contextlib import ExitStack

from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import frozen_at_rest, killed
from airproof_e2e.saga.messages import DATABASE
from airproof_e2e.saga.stage import WAIT_S, Stage

AWAY_S = 4.0


def database_down(stage: Stage) -> None:
    """All databases are killed and away for a while; one saga waits for a command to be done, one for a reply."""
    last, other = stage.saga.steps[-1], stage.saga.steps[1 % len(stage.saga.steps)]
    with ExitStack() as frozen:
        replier = frozen.enter_context(frozen_at_rest(stage, last.participant))
        replied = stage.start()
        stage.command(replied, last)
        if other.participant != last.participant:
            frozen.enter_context(frozen_at_rest(stage, other.participant))
        stage.command(stage.start(), other)
        frozen.enter_context(frozen_at_rest(stage, stage.orchestrator))
        replier.heal()
        stage.reply(replied, last)
        with killed(stage, DATABASE):
            frozen.close()
            back_at = time.monotonic() + AWAY_S
            wait_until(lambda: time.monotonic() > back_at, timeout_s=WAIT_S, describe="the outage to be a long one")
    stage.wait_end(stage.start())
