"""Faults of processes: killed, stopped in good order, frozen. Each shows that it took effect and that it healed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from airproof.environment.capabilities import Lack, ProcessControl, ProcessState, ProcessStatus
from airproof.environment.topology import Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, NotReady, WaitTimeout
from airproof.faults.targets import Target
from airproof.history import Explanation, OpenFault
from airproof.waiting import wait_until


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
    processes = control_of(target, node, "kill")
    explains = Explanation(node, exits=True, because="killed on purpose")
    with target.history.fault("killed", node, explains=[explains]) as record:
        state = processes.kill(node)
        observe(record, state, ProcessStatus.EXITED)
        yield from _in_force(NodeFault(node, state, lambda: start_again(processes, state), record))


@contextmanager
def stopped(target: Target, node: str) -> Iterator[NodeFault]:
    """Asks the node to shut down in good order (SIGTERM) and waits until it has; starts it again afterwards.

    Raises:
        FaultUnsupported: the provider cannot stop this node.
        FaultNotObserved: its process did not end.
        FaultNotHealed: it did not become ready again.
    """
    processes = control_of(target, node, "stop")
    explains = Explanation(node, exits=True, because="stopped on purpose")
    with target.history.fault("stopped", node, explains=[explains]) as record:
        state = processes.terminate(node)
        observe(record, state, ProcessStatus.EXITED)
        yield from _in_force(NodeFault(node, state, lambda: start_again(processes, state), record))


@contextmanager
def suspended(target: Target, node: str) -> Iterator[NodeFault]:
    """Freezes the node (SIGSTOP): it stays connected and answers nothing; lets it go on afterwards.

    A node that was killed while it was frozen needs no thawing.

    Raises:
        FaultUnsupported: the provider cannot freeze this node.
        FaultNotObserved: its process went on.
        FaultNotHealed: it is still frozen.
    """
    processes = control_of(target, node, "suspend")
    with target.history.fault("suspended", node) as record:
        state = processes.suspend(node)
        observe(record, state, ProcessStatus.SUSPENDED)
        yield from _in_force(NodeFault(node, state, lambda: resume_again(processes, state), record))


@contextmanager
def lacking(target: Target, node: str, lack: Lack) -> Iterator[NodeFault]:
    """Kills the node and starts it without a secret, as somebody would who deploys it wrongly; then with it.

    What it is or was then is the fault's `state`: one that refuses to run so has exited.

    Raises:
        FaultUnsupported: the provider cannot start this node.
        FaultNotObserved: its process did not end before.
        FaultNotHealed: it did not become ready again.
    """
    processes = control_of(target, node, "start")
    explains = Explanation(node, logger="*", exits=True, because=f"started with {lack}")
    with target.history.fault("lacking", node, explains=[explains]) as record:
        observe(record, before := processes.kill(node), ProcessStatus.EXITED)
        with suppress(NotReady):
            processes.start(node, lacking=lack)
        state = processes.state(node)
        record.evidence(f"{node} was started with {lack} and is {state.status.value}", exit_code=state.exit_code)

        def heal() -> str:
            processes.kill(node)
            return start_again(processes, before)

        yield from _in_force(NodeFault(node, state, heal, record))


@contextmanager
def slow_start(target: Target, node: str) -> Iterator[NodeFault]:
    """Kills the node and starts it again, but freezes it as soon as it is there; afterwards it goes on with its start.

    The time that it is frozen counts as part of its start.

    Raises:
        FaultUnsupported: the provider cannot freeze this node.
        FaultNotObserved: its process did not end, or went on.
        FaultNotHealed: it did not become ready.
    """
    processes = control_of(target, node, "delay the start of")
    explains = Explanation(node, exits=True, because="killed on purpose")
    with target.history.fault("slow start", node, explains=[explains]) as record:
        before = processes.kill(node)
        observe(record, before, ProcessStatus.EXITED)
        with ThreadPoolExecutor(1, thread_name_prefix=f"start-of-{node}") as pool:
            ready = pool.submit(processes.start, node)
            state = _frozen_at_start(processes, before, ready)

            def heal() -> str:
                resume_again(processes, state)
                return _ready(ready.result(), before)

            try:
                observe(record, state, ProcessStatus.SUSPENDED)
            except FaultNotObserved:
                ready.result()
                raise
            yield from _in_force(NodeFault(node, state, heal, record))


def _frozen_at_start(processes: ProcessControl, before: ProcessState, ready: Future[ProcessState]) -> ProcessState:
    def is_there() -> bool:
        if ready.done():
            ready.result()
        return processes.state(before.node).incarnation > before.incarnation

    try:
        wait_until(is_there, timeout_s=10.0, describe=f"the process of {before.node}", longest_interval_s=0.002)
    except WaitTimeout as error:
        raise FaultNotObserved(f"{before.node!r} was not started again: {error}") from error
    return processes.suspend(before.node)


def _in_force(fault: NodeFault) -> Iterator[NodeFault]:
    try:
        yield fault
    finally:
        fault.heal()


def control_of(target: Target, node: str, what: str) -> ProcessControl:
    """Control over the processes of a cell, if it may do that to this node.

    Raises:
        FaultUnsupported: it may not.
    """
    processes = target.capabilities.processes
    if processes is None:
        raise FaultUnsupported(f"cannot {what} {node!r}: the provider has no control over processes")
    if target.description.node(node).role is Role.KAFKA and not target.description.private_broker:
        raise FaultUnsupported(
            f"cannot {what} {node!r}: other cells use it too; mark the test with `private_broker` to have its own"
        )
    return processes


def observe(record: OpenFault, state: ProcessState, wanted: ProcessStatus) -> None:
    """Takes down as evidence what a process does.

    Raises:
        FaultNotObserved: it does something else.
    """
    if state.status is not wanted:
        raise FaultNotObserved(f"{state.node!r} is {state.status.value}, not {wanted.value}")
    facts = {"incarnation": state.incarnation, "exit_code": state.exit_code}
    record.evidence(f"{state.node} is {state.status.value}", **facts)


def start_again(processes: ProcessControl, before: ProcessState) -> str:
    """Starts a process that has exited, and says what was seen then.

    Raises:
        NotReady: it does not become ready.
        FaultNotHealed: it does not run.
    """
    return _ready(processes.start(before.node), before)


def _ready(state: ProcessState, before: ProcessState) -> str:
    if state.status is not ProcessStatus.RUNNING or state.incarnation <= before.incarnation:
        now = f"{state.status.value} in incarnation {state.incarnation}"
        raise FaultNotHealed(f"{before.node!r} is {now} after its start")
    return f"{state.node} runs and is ready, incarnation {state.incarnation}"


def resume_again(processes: ProcessControl, before: ProcessState) -> str:
    """Thaws a process, unless it was killed meanwhile, and says what was seen then.

    Raises:
        FaultNotHealed: it is still frozen.
    """
    state = processes.state(before.node)
    if state.status is ProcessStatus.SUSPENDED and state.incarnation == before.incarnation:
        state = processes.resume(before.node)
    if state.status is ProcessStatus.SUSPENDED:
        raise FaultNotHealed(f"{before.node!r} is still frozen")
    return f"{state.node} is {state.status.value}, incarnation {state.incarnation}"
