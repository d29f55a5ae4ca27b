from __future__ import annotations

import pytest

from airproof.errors import PlatformError, UsageError, WaitTimeout
from airproof.plugin import told_if_stuck


@pytest.mark.parametrize("error", [WaitTimeout("waited 10 s for a read"), PlatformError("a read was answered 500")])
def test_what_does_not_go_on_fails_with_the_promise_of_its_test(
    request: pytest.FixtureRequest, error: Exception
) -> None:
    """A read is fresh.

    And more of that.
    """
    with pytest.raises(pytest.fail.Exception) as failure, told_if_stuck(request.node, "CACHE"):
        raise error
    assert str(failure.value).startswith("[CACHE/no-progress] A read is fresh.\n")
    assert str(error) in str(failure.value)


def test_a_mistake_of_the_test_stays_what_it_is(request: pytest.FixtureRequest) -> None:
    with pytest.raises(UsageError), told_if_stuck(request.node, "CACHE"):
        raise UsageError("no such rule")
