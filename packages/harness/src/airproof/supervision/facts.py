"""Facts that the clients of a run share."""

from __future__ import annotations

import asyncio

from airproof.errors import WaitTimeout
from airproof.supervision.specs import JSON


class Facts:
    """Values by key."""

    def __init__(self) -> None:
        self._values: dict[str, JSON] = {}
        self._changed = asyncio.Condition()

    async def put(self, key: str, value: JSON) -> None:
        """Sets a fact and wakes those who wait for it."""
        async with self._changed:
            self._values[key] = value
            self._changed.notify_all()

    async def get(self, key: str, timeout_s: float) -> JSON:
        """A fact; see `Supervisor.get`."""
        if key in self._values or timeout_s <= 0:
            return self._values.get(key)
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: key in self._values), timeout_s)
            except TimeoutError:
                known = sorted(self._values)
                raise WaitTimeout(
                    f"waited {timeout_s:g} s for the fact {key!r}; there are {known}", timeout_s=timeout_s
                ) from None
            return self._values[key]
