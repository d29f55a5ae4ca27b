"""A service that is told to shut down while it has something in hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from airproof.errors import PlatformError
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import demand_clean_exit, stopped
from airproof_e2e.saga.stage import WAIT_S, Stage

TRIES = 2
"""On a busy machine what is let go on may come too late for the first try."""
SHUTS_DOWN_FOR_S = 0.4
T = TypeVar("T")


def shut_down_over(stage: Stage, service: str, go_on: Callable[[], object], look: Callable[[], T]) -> T:
    """Tells the service to shut down, and lets what it has in hand go on as soon as it has begun to.

    Args:
        look: called when the service has exited, before it is started again.

    Returns:
        What was seen then.
    """

    def stop() -> T:
        with stopped(stage, service) as fault:
            demand_clean_exit(stage, fault)
            return look()

    with ThreadPoolExecutor(1, thread_name_prefix="stop") as stopper:
        stopping = stopper.submit(stop)
        begins, comes = f"{service} to begin to shut down", "it to come to what it has in hand"
        wait_until(lambda: stopping.done() or not _listens(stage, service), timeout_s=WAIT_S, describe=begins)
        later = time.monotonic() + SHUTS_DOWN_FOR_S
        wait_until(lambda: stopping.done() or time.monotonic() > later, timeout_s=WAIT_S, describe=comes)
        go_on()
        return stopping.result()


def _listens(stage: Stage, service: str) -> bool:
    try:
        stage.platform.requests.probe(service, stage.platform.manifest.service(service).health_path)
    except PlatformError:
        return False
    return True
