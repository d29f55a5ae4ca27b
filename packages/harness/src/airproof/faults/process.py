"""Faults of processes: killed, stopped in good order, frozen. Each shows that it took effect and that it healed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airproof.environment.capabilities import ProcessControl, ProcessState, ProcessStatus
from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, NotReady
from airproof.faults.targets import Target
from airproof.history import Explanation, OpenFault


class NodeFault:
    """A fault of one node that is in force until `heal` is called or its context ends.

    Attributes:
        node: the node's name.
        state: the node's process while the fault was in force, as observed.
    """

    def __init__(self, node: str, state: ProcessState, heal: Callable[[], str], record: OpenFault) -> None:
        self.node = node
        self.state = state
        self._heal = heal
        self._record = record

    def heal(self) -> None:
        """Ends the fault and verifies that it is over. Does nothing the second time.

        Raises:
            FaultNotHealed: the node does not run again.
        """
        if self._record.is_healed:
            return
        try:
            seen = self._heal()
        except NotReady as error:
            raise FaultNotHealed(f"{self.node!r} did not come back: {error}") from error
        self._record.healed(seen)


@contextmanager
def killed(target: Target, node: str) -> Iterator[NodeFault]:
    """Ends the node at once (SIGKILL), whatever it is doing; starts it again afterwards.

    Raises:
        FaultUnsupported: the provider cannot kill this node.
        FaultNotObserved: its process did not end.
        FaultNotHealed: it did not become ready again.
    """
    processes = _processes(target, node, "kill")
    explains = Explanation(node, exits=True, because="killed on purpose")
    with target.history.fault("killed", node, explains=[explains]) as record:
        state = processes.kill(node)
        _observe(record, state, ProcessStatus.EXITED)
        yield from _in_force(NodeFault(node, state, lambda: _start(processes, state), record))


@contextmanager
def stopped(target: Target, node: str) -> Iterator[NodeFault]:
    """Asks the node to shut down in good order (SIGTERM) and waits until it has; starts it again afterwards.

    Raises:
        FaultUnsupported: the provider cannot stop this node.
        FaultNotObserved: its process did not end.
        FaultNotHealed: it did not become ready again.
    """
    processes = _processes(target, node, "stop")
    explains = Explanation(node, exits=True, because="stopped on purpose")
    with target.history.fault("stopped", node, explains=[explains]) as record:
        state = processes.terminate(node)
        _observe(record, state, ProcessStatus.EXITED)
        yield from _in_force(NodeFault(node, state, lambda: _start(processes, state), record))


@contextmanager
def suspended(target: Target, node: str) -> Iterator[NodeFault]:
    """Freezes the node (SIGSTOP): it stays connected and answers nothing; lets it go on afterwards.

    A node that was killed while it was frozen needs no thawing.

    Raises:
        FaultUnsupported: the provider cannot freeze this node.
        FaultNotObserved: its process went on.
        FaultNotHealed: it is still frozen.
    """
    processes = _processes(target, node, "suspend")
    with target.history.fault("suspended", node) as record:
        state = processes.suspend(node)
        _observe(record, state, ProcessStatus.SUSPENDED)
        yield from _in_force(NodeFault(node, state, lambda: _resume(processes, state), record))


def _in_force(fault: NodeFault) -> Iterator[NodeFault]:
    try:
        yield fault
    finally:
        fault.heal()


def _processes(target: Target, node: str, what: str) -> ProcessControl:
    processes = target.capabilities.processes
    if processes is None:
        raise FaultUnsupported(f"cannot {what} {node!r}: the provider has no control over processes")
    if target.description.node(node).role is Role.KAFKA and not target.description.private_broker:
        raise FaultUnsupported(
            f"cannot {what} {node!r}: other cells use it too; mark the test with `private_broker` to have its own"
        )
    return processes


def _observe(record: OpenFault, state: ProcessState, wanted: ProcessStatus) -> None:
    if state.status is not wanted:
        raise FaultNotObserved(f"{state.node!r} is {state.status.value}, not {wanted.value}")
    facts = {"incarnation": state.incarnation, "exit_code": state.exit_code}
    record.evidence(f"{state.node} is {state.status.value}", **facts)


def _start(processes: ProcessControl, before: ProcessState) -> str:
    state = processes.start(before.node)
    if state.status is not ProcessStatus.RUNNING or state.incarnation <= before.incarnation:
        now = f"{state.status.value} in incarnation {state.incarnation}"
        raise FaultNotHealed(f"{before.node!r} is {now} after its start")
    return f"{state.node} runs and is ready, incarnation {state.incarnation}"


def _resume(processes: ProcessControl, before: ProcessState) -> str:
    state = processes.state(before.node)
    if state.status is ProcessStatus.SUSPENDED and state.incarnation == before.incarnation:
        state = processes.resume(before.node)
    if state.status is ProcessStatus.SUSPENDED:
        raise FaultNotHealed(f"{before.node!r} is still frozen")
    return f"{state.node} is {state.status.value}, incarnation {state.incarnation}"
