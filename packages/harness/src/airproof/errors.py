"""The errors of Airproof: one class per thing the reader does next.

A message says what was tried, what was last seen and what to do. Facts a program may want are attributes.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the command line; pytest's own numbers where they mean the same."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    UNAVAILABLE = 5


class AirproofError(Exception):
    """Root of all errors that Airproof raises on purpose.

    Attributes:
        exit_status: what the command line exits with when the error reaches it.
    """

    exit_status = ExitStatus.FAILED


class UsageError(AirproofError):
    """An option or argument is wrong: correct the command."""

    exit_status = ExitStatus.USAGE


class EnvironmentFileError(UsageError):
    """An environment file (or an override of it) is wrong: correct the field it names."""


class ProviderUnavailable(AirproofError):
    """What an environment needs cannot be had on this machine: install what the message names."""

    exit_status = ExitStatus.UNAVAILABLE


class CacheError(ProviderUnavailable):
    """A cached artefact is damaged or cannot be written: follow the message, usually `airproof reset --cache`."""


class NotReady(AirproofError):
    """Something did not become ready in time: read the last lines of its log, which the message holds."""


class WaitTimeout(AirproofError):
    """A condition did not become true in time.

    Attributes:
        last: the last observation before the time was up.
        timeout_s: how long it was waited for, in seconds.
    """

    def __init__(self, message: str, *, last: object = None, timeout_s: float = 0.0) -> None:
        super().__init__(message)
        self.last = last
        self.timeout_s = timeout_s


class SupervisorGone(AirproofError):
    """The supervisor no longer answers, so everything it owned is gone: start the run again."""

    exit_status = ExitStatus.INTERNAL


class FaultUnsupported(AirproofError):
    """The provider or protocol cannot do this fault: choose another one or another environment."""


class FaultNotObserved(AirproofError):
    """A required fault left no evidence that it took effect: the test proved nothing."""


class FaultNotHealed(AirproofError):
    """A fault is still in force after its context ended: the cell is replaced."""


class PlatformError(AirproofError):
    """The platform answered something a driver cannot make sense of."""


class StartRefused(PlatformError):
    """The platform refused a start because of what it was given.

    Attributes:
        status: the status it answered, such as 409.
        code: its short name for the reason.
    """

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class DefectError(UsageError):
    """A defect or patch cannot be applied to the reference platform: correct the patch."""


class CleanUpError(AirproofError):
    """Several clean-up steps failed; all of them are listed.

    Attributes:
        what: what was being cleaned up.
        failures: the exceptions, in the order they happened.
    """

    def __init__(self, what: str, failures: list[BaseException]) -> None:
        lines = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        super().__init__(f"{what}: {len(failures)} clean-up step(s) failed: {lines}")
        self.what = what
        self.failures = failures
