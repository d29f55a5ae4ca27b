"""Faults of processes at a message: killed or frozen while it is held, or each time it comes.

    with killed_at(cell, "auth-service", on("auth-service", "kafka").when(kafka.produce(containing=email)).after()):

kills the relay when its Produce was acknowledged and it does not know yet. The wire wakes a thread of the fault while
it holds the message, so what comes next is always the node's end. The message is lost with its connection: a request
was never sent, a reply never seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from airproof.environment.capabilities import ProcessControl, ProcessState, ProcessStatus
from airproof.errors import CleanUpError, FaultNotHealed, NotReady, WaitTimeout
from airproof.faults.awaited import AwaitedMessage
from airproof.faults.process import control_of, observe, resume_again, start_again
from airproof.faults.rules_in_force import RulesInForce
from airproof.faults.targets import WiredTarget
from airproof.history import AppliedAction, Explanation, OpenFault
from airproof.wire.building import Selected

_THREAD_ENDS_WITHIN_S = 60.0


class MomentFault:
    """A fault that happens in the background, at its moment, until it is healed.

    Attributes:
        node: the node's name.
        states: the node's process after each time that it happened.
    """

    def __init__(self, node: str, record: OpenFault, heal: Callable[[list[ProcessState]], str]) -> None:
        self.node = node
        self.states: list[ProcessState] = []
        self._record = record
        self._heal = heal
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._stop: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None

    def wait(self, *, timeout_s: float, times: int = 1) -> None:
        """Waits until it has happened so often.

        Raises:
            WaitTimeout: it has not; the moment may not have come.
            AirproofError: it was tried, and went wrong.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self.states) >= times or self._failure, timeout_s)
        if self._failure:
            raise self._failure
        if len(self.states) < times:
            raise WaitTimeout(
                f"waited {timeout_s:g} s for {self.node!r} to reach the moment; it came {len(self.states)} times",
                last=self.states,
                timeout_s=timeout_s,
            )

    def heal(self) -> None:
        """Waits for the moment no longer and makes the node whole. Does nothing the second time.

        Raises:
            FaultNotHealed: the node does not run again.
            AirproofError: what went wrong when it happened.
        """
        if self._record.is_healed:
            return
        self._stop()
        if self._thread:
            self._thread.join(_THREAD_ENDS_WITHIN_S)
        try:
            seen = self._heal(self.states)
        except (NotReady, CleanUpError) as error:
            raise FaultNotHealed(f"{self.node!r} did not come back: {error}") from error
        self._record.healed(seen)
        if self._failure:
            raise self._failure

    def happened(self, state: ProcessState, wanted: ProcessStatus) -> None:
        """Takes down that it has happened once more."""
        observe(self._record, state, wanted)
        with self._changed:
            self.states.append(state)
            self._changed.notify_all()

    def prove(self, actions: Iterable[AppliedAction]) -> None:
        """Takes down what the wire did."""
        self._record.applied(actions)

    def begin(self, work: Callable[[], None], stop: Callable[[], None]) -> None:
        """Runs `work` in the background until it ends, or `stop` ends it."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised in the test's thread
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                stop()

        self._stop = stop
        self._thread = threading.Thread(target=run, name=f"fault-of-{self.node}", daemon=True)
        self._thread.start()


@contextmanager
def killed_at(target: WiredTarget, node: str, moment: Selected, *, required: bool = True) -> Iterator[MomentFault]:
    """Kills the node when that message comes, the first of them unless `moment` says another; the message is lost.

    Raises:
        FaultUnsupported: the provider cannot kill this node, or there is no such link.
        FaultNotObserved: it is required, and the message never came.
        FaultNotHealed: the node did not become ready again.
    """
    with crash_loop(target, node, 1, at=moment, required=required, kind="killed") as fault:
        yield fault


@contextmanager
def suspended_at(target: WiredTarget, node: str, moment: Selected, *, required: bool = True) -> Iterator[MomentFault]:
    """Freezes the node when that message comes; the message goes on, to a node that does not see it.

    Raises:
        FaultUnsupported: the provider cannot freeze this node, or there is no such link.
        FaultNotObserved: it is required, and the message never came.
        FaultNotHealed: the node is still frozen.
    """
    processes = control_of(target, node, "suspend")
    with target.history.fault("suspended", node, required=required, moment=str(moment.hold())) as record:
        rules = _held(target, moment, 1, lose=False)
        message = AwaitedMessage(rules.rules[0])

        def heal(states: list[ProcessState]) -> str:
            rules.remove()
            return resume_again(processes, states[-1]) if states else _never(node)

        def work() -> None:
            if message.came():
                fault.happened(processes.suspend(node), ProcessStatus.SUSPENDED)
                message.give_up()

        fault = MomentFault(node, record, heal)
        fault.begin(work, message.give_up)
        yield from _until_healed(fault, rules)


@contextmanager
def crash_loop(
    target: WiredTarget,
    node: str,
    times: int,
    *,
    at: Selected | None = None,
    required: bool = True,
    kind: str = "crash loop",
) -> Iterator[MomentFault]:
    """Kills the node so often, in the background: as soon as it is ready again, or each time that message comes.

    After the last time it stays down until the fault is healed, after the others it is started again.

    Raises:
        FaultUnsupported: the provider cannot kill this node, or there is no such link.
        FaultNotObserved: it is required, and it was not killed even once.
        FaultNotHealed: the node did not become ready again.
    """
    processes = control_of(target, node, "kill")
    explains = Explanation(node, exits=True, because="killed on purpose")
    facts = {"times": times, "moment": str(at.hold()) if at else "ready"}
    with target.history.fault(kind, node, explains=[explains], required=required, **facts) as record:
        rules = _held(target, at, times, lose=True) if at else None

        def heal(states: list[ProcessState]) -> str:
            if rules:
                rules.remove()
            return _start_if_down(processes, node) if states else _never(node)

        fault = MomentFault(node, record, heal)
        if rules:
            message = AwaitedMessage(rules.rules[0])
            fault.begin(lambda: _kill_at(processes, fault, times, message), message.give_up)
        else:
            stopped = threading.Event()
            fault.begin(lambda: _kill_often(processes, fault, times, stopped.is_set), stopped.set)
        yield from _until_healed(fault, rules)


def _kill_often(processes: ProcessControl, fault: MomentFault, times: int, is_over: Callable[[], bool]) -> None:
    while len(fault.states) < times and not is_over():
        if fault.states:
            start_again(processes, fault.states[-1])
        fault.happened(processes.kill(fault.node), ProcessStatus.EXITED)


def _kill_at(processes: ProcessControl, fault: MomentFault, times: int, message: AwaitedMessage) -> None:
    while len(fault.states) < times and message.came():
        fault.happened(processes.kill(fault.node), ProcessStatus.EXITED)
        message.release()
        if len(fault.states) < times and not message.is_over:
            start_again(processes, fault.states[-1])


def _start_if_down(processes: ProcessControl, node: str) -> str:
    state = processes.state(node)
    if state.status is ProcessStatus.EXITED:
        return start_again(processes, state)
    return f"{node} runs, incarnation {state.incarnation}"


def _never(node: str) -> str:
    return f"{node} never reached the moment"


def _held(target: WiredTarget, moment: Selected, times: int, *, lose: bool) -> RulesInForce:
    """The rule that holds the message.

    A second one stands behind it and loses what it has released, so that no request of a dead client is still on its
    way.
    """
    chosen = moment if moment.hold().times is not None else moment.times(times)
    return RulesInForce(target, [chosen.hold(), *([chosen.reset()] if lose else [])])


def _until_healed(fault: MomentFault, rules: RulesInForce | None) -> Iterator[MomentFault]:
    """What the rules did becomes evidence in the end."""
    try:
        yield fault
    finally:
        try:
            fault.heal()
        finally:
            if rules:
                fault.prove(rules.actions())
