"""Waiting for a message that a rule holds, until it comes or nobody waits any more."""

from __future__ import annotations

from threading import Event, Lock

from airproof.errors import UsageError, WaitTimeout
from airproof.faults.targets import RuleInForce

_LONGEST_POLL_S = 30.0


class AwaitedMessage:
    """What a rule that holds waits for. One thread waits, another one may end that at any time.

    Attributes:
        is_over: whether nobody waits any more.
    """

    def __init__(self, rule: RuleInForce) -> None:
        self._rule = rule
        self._over = Event()
        self._lock = Lock()

    @property
    def is_over(self) -> bool:
        """Whether `give_up` was called."""
        return self._over.is_set()

    def came(self) -> bool:
        """Waits, woken by the wire, until a message is held; False once it was given up."""
        while not self.is_over:
            try:
                self._rule.wait_until_held(_LONGEST_POLL_S)
                return not self.is_over
            except WaitTimeout:
                continue
            except UsageError:
                # Between two polls the rule was taken away, as it is at the end.
                if not self.is_over:
                    raise
        return False

    def release(self) -> None:
        """Lets what is held go on, and waits for the next one. Nothing once it was given up: it has gone on by then."""
        with self._lock:
            if not self.is_over:
                self._rule.release()

    def give_up(self) -> None:
        """Takes the rule away, which lets what it holds go on and wakes the waiter. Nothing the second time."""
        with self._lock:
            self._over.set()
            self._rule.remove()
