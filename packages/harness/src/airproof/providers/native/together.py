"""Several pieces of work at once; the first that fails ends them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

from airproof.errors import CleanUpError

LINGER_S = 5.0


def together(*tasks: Callable[[], object], give_up: Callable[[], None]) -> None:
    """Runs every task in a thread of its own and returns when all have ended.

    The threads hold no process back that wants to end: a download in full swing does not delay an interrupt.

    Args:
        give_up: called when a task fails or the wait is interrupted; has to make the others end soon.

    Raises:
        BaseException: that of the first task that failed.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    threads = [Thread(target=_run, args=(task, ended), name="airproof-together", daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            failure = ended.get()
            if failure is not None:
                raise failure
    except BaseException:
        with suppress(CleanUpError):  # not what the reader needs; what is left is removed with the run
            give_up()
        deadline = time.monotonic() + LINGER_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        raise


def _run(task: Callable[[], object], ended: SimpleQueue[BaseException | None]) -> None:
    try:
        task()
    except BaseException as failure:  # noqa: BLE001 - raised again in the thread that waits
        ended.put(failure)
    else:
        ended.put(None)


class Silence:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Shows nothing."""
        del what
        yield
