"""One isolated running copy of the platform, as a test uses it."""

from __future__ import annotations

from airproof.environment.capabilities import Capabilities, ProcessStatus
from airproof.environment.topology import CellDescription, Role
from airproof.errors import FaultUnsupported, NotReady, WaitTimeout
from airproof.history import History
from airproof.platform.driver import Platform
from airproof.waiting import wait_until
from airproof.wire import Wire


class Cell:
    """A running copy of the platform.

    Attributes:
        description: its nodes and where they answer.
        capabilities: what can be done to its nodes.
        platform: typed access to it.
        history: of the test that uses the cell now.
    """

    def __init__(self, description: CellDescription, capabilities: Capabilities, platform: Platform) -> None:
        self.description = description
        self.capabilities = capabilities
        self.platform = platform
        self.history = History()

    @property
    def wire(self) -> Wire:
        """The control of the wire on the cell's links.

        Raises:
            FaultUnsupported: it has none.
        """
        if not self.description.links:
            raise FaultUnsupported(
                f"cell {self.description.name!r} has no wires: mark the test `wired`, or use the fixture `wire`"
            )
        control = self.description.node(Role.WIRE.value).endpoint
        return Wire(control.host, control.port, self.description.secrets["wire_token"])

    def barrier(self, timeout_s: float) -> None:
        """Waits until nothing moves in the cell: outboxes drained, groups caught up, no saga or transaction open.

        Raises:
            NotReady: it did not become quiet; the message says what still moved.
        """
        moving: list[str] = []

        def quiet() -> bool:
            moving[:] = self.platform.quiet()
            return not moving

        try:
            wait_until(quiet, timeout_s=timeout_s, describe=f"cell {self.description.name!r} to become quiet")
        except WaitTimeout as error:
            raise NotReady(
                f"cell {self.description.name!r} did not become quiet within {timeout_s:g} s: {'; '.join(moving)}"
            ) from error

    def health(self) -> list[str]:
        """What is wrong with the cell's processes, one clause each; empty when all of them run.

        Says nothing about nodes whose processes the provider cannot see.
        """
        processes = self.capabilities.processes
        if processes is None:
            return []
        states = [processes.state(node.name) for node in self.description.nodes]
        return [
            f"{state.node} is {state.status.value}" + (f" ({state.exit_code})" if state.exit_code is not None else "")
            for state in states
            if state.status is not ProcessStatus.RUNNING
        ]
