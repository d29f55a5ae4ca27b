"""Runs a schedule against a cell: waits at its anchors, begins and ends its faults, and heals all of them at exit.

One thread waits for each disturbance, woken by the wire. While a fault begins or ends, the message of its anchor is
held, so it takes effect at that message and not a little later. Nobody waits for another disturbance meanwhile: what
that one holds may be what a node needs for its start, or to shut down in good order. For the same reason a node that is
asked to stop gets its message first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self

from airproof.errors import AirproofError, CleanUpError, FaultNotObserved
from airproof.faults.awaited import AwaitedMessage
from airproof.faults.nemesis.kinds import NEEDS_ITS_MESSAGES, OF_PROCESSES, Fault, check, make
from airproof.faults.nemesis.schedule import Anchor, Disturbance, Schedule
from airproof.faults.targets import WiredTarget

_THREADS_END_WITHIN_S = 40.0


class _Closing(Exception):
    """The nemesis has ended meanwhile; all of its rules are gone."""


class Nemesis:
    """A schedule in force inside its context.

    Args:
        required: whether a test in which none of the faults came about has proved nothing.

    Attributes:
        schedule: what is to happen.
        begun: the disturbances that have begun, in that order.
    """

    def __init__(self, target: WiredTarget, schedule: Schedule, *, required: bool = False) -> None:
        self.schedule = schedule
        self.begun: list[Disturbance] = []
        self._target = target
        self._required = required
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._anchors: list[AwaitedMessage] = []
        self._under_way: set[int] = set()
        self._faults: dict[int, Fault] = {}
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begins what has no anchor and waits for the rest.

        Raises:
            UsageError: the schedule names a fault that does not exist.
            FaultUnsupported: the cell lacks what it names.
        """
        for wanted in self.schedule.disturbances:
            check(self._target, wanted)
        self._target.history.note(f"nemesis: {self.schedule}", schedule=self.schedule.to_json())
        try:
            for number, wanted in enumerate(self.schedule.disturbances):
                self._prepare(number, wanted)
        except BaseException as error:
            self._close(error)
            raise
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Lets everything go that is held and heals every fault, the last one first.

        Raises:
            AirproofError: what went wrong in a fault, if the block itself raised nothing.
            FaultNotObserved: one was required and none came about.
        """
        self._close(error)
        if error is None and self._required and not self.begun:
            raise FaultNotObserved(f"no fault of the schedule came about: {self.schedule}")

    def _prepare(self, number: int, wanted: Disturbance) -> None:
        start = self._hold(wanted.start) if wanted.start else None
        if start is None and wanted.end is None:
            self._begin(number, wanted)
            return
        end = None
        if start is None and wanted.end:
            self._begin(number, wanted)
            end = self._hold(wanted.end)
        direct = threading.Thread(
            target=self._direct, args=(number, wanted, start, end), name=f"nemesis-{number + 1}", daemon=True
        )
        self._threads.append(direct)

    def _direct(
        self, number: int, wanted: Disturbance, start: AwaitedMessage | None, end: AwaitedMessage | None
    ) -> None:
        """The life of one disturbance, from its first anchor to its last."""
        try:
            if start is not None:
                if start.came():
                    if wanted.kind in NEEDS_ITS_MESSAGES:
                        start.give_up()
                    self._begin(number, wanted)
                    end = self._hold(wanted.end) if wanted.end and number in self._faults else None
                self._try(start.give_up)
            if end is not None and end.came():
                self._end(number)
                self._try(end.give_up)
        except _Closing:
            pass
        except Exception as error:  # noqa: BLE001 - raised in the test's thread at exit
            self._failures.append(error)
            for message in filter(None, (start, end)):
                self._try(message.give_up)

    @contextmanager
    def _unless_closing(self) -> Iterator[None]:
        with self._lock:
            if self._closing.is_set():
                raise _Closing
            yield

    def _hold(self, anchor: Anchor) -> AwaitedMessage:
        with self._unless_closing():
            message = AwaitedMessage(self._target.wire.apply(anchor.rule()))
            self._anchors.append(message)
        return message

    def _begin(self, number: int, wanted: Disturbance) -> None:
        with self._unless_closing():
            if node := self._already_down(wanted):
                self._target.history.note(f"nemesis: {wanted} left out, for something is done to {node} already")
                return
            self._under_way.add(number)
        fault = make(self._target, wanted)
        try:
            fault.__enter__()
        except BaseException:
            self._under_way.discard(number)
            raise
        self._faults[number] = fault
        self.begun.append(wanted)

    def _end(self, number: int) -> None:
        if fault := self._faults.pop(number, None):
            try:
                fault.__exit__(None, None, None)
            finally:
                self._under_way.discard(number)

    def _already_down(self, wanted: Disturbance) -> str:
        others = [self.schedule.disturbances[number] for number in self._under_way]
        if wanted.kind in OF_PROCESSES and any(
            one.kind in OF_PROCESSES and one.nodes == wanted.nodes for one in others
        ):
            return wanted.nodes[0]
        return ""

    def _close(self, error: BaseException | None) -> None:
        self._closing.set()
        with self._lock:
            for message in self._anchors:
                self._try(message.give_up)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_THREADS_END_WITHIN_S)
        for number in reversed(list(self._faults)):
            self._try(partial(self._end, number))
        for missed in (one for one in self.schedule.disturbances if one not in self.begun):
            self._target.history.note(f"nemesis: never came about: {missed}")
        if error is not None:
            for failure in self._failures:
                error.add_note(f"and in the nemesis: {type(failure).__name__}: {failure}")
        elif len(self._failures) == 1:
            raise self._failures[0]
        elif self._failures:
            raise CleanUpError("nemesis", self._failures)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except AirproofError as failure:
            self._failures.append(failure)
