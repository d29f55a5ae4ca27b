"""Several pieces of work at once; the first that fails ends them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager


def together(*tasks: Callable[[], object], give_up: Callable[[], None]) -> None:
    """Runs every task in a thread of its own and returns when all have ended.

    Args:
        give_up: called when one fails or the wait is interrupted; has to make the others end soon.

    Raises:
        Exception: that of the first task that failed.
    """
    with ThreadPoolExecutor(len(tasks), thread_name_prefix="airproof") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future in done:
                    future.result()
        except BaseException:
            give_up()
            raise


class Silence:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Shows nothing."""
        del what
        yield
