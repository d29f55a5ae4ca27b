"""Records a history while a test runs; any thread may record at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from airproof.errors import FaultNotHealed, FaultNotObserved
from airproof.history.crossings import AppliedAction, WireEvent
from airproof.history.folding import fold
from airproof.history.jsonlines import HistoryFile
from airproof.history.plain import plain
from airproof.history.records import Entry, EntryKind, Explanation, Outcome, Recording


class OpenOperation:
    """An operation that has been invoked. The first outcome counts; without one it is ok when its block ends."""

    def __init__(self, complete: Callable[[Outcome, object], None]) -> None:
        self._complete = complete
        self._closed = False

    def ok(self, result: object = None) -> None:
        """It took effect."""
        self._close(Outcome.OK, result)

    def fail(self, reason: object = None) -> None:
        """It certainly had no effect."""
        self._close(Outcome.FAIL, reason)

    def info(self, reason: object = None) -> None:
        """Nobody knows: a timeout, a 5xx, a connection lost after sending."""
        self._close(Outcome.INFO, reason)

    def _close(self, outcome: Outcome, result: object) -> None:
        if not self._closed:
            self._closed = True
            self._complete(outcome, result)


class OpenFault:
    """A fault in force.

    Args:
        record: writes an entry of it, now or at the monotonic time given.
        began: the monotonic time at which the history began.
    """

    def __init__(self, record: Callable[[EntryKind, dict[str, Any], float | None], None], began: float) -> None:
        self._record = record
        self._began = began
        self.observed = False
        self.is_healed = False

    def evidence(self, what: str, **facts: object) -> None:
        """Records an observation that shows that the fault took effect."""
        self.observed = True
        self._record(EntryKind.EVIDENCE, {"what": what, "facts": plain(facts)}, None)

    def applied(self, actions: Iterable[AppliedAction]) -> None:
        """Records as evidence what rules did on the wire, at the times at which they did it.

        Args:
            actions: their times by the monotonic clock of this machine, as wires tell them.
        """
        for action in actions:
            self.observed = True
            told = plain(action.since(self._began))
            del told["at"]
            self._record(EntryKind.EVIDENCE, {"what": str(action), "facts": {}, "applied": told}, action.at)

    def healed(self, what: str) -> None:
        """Records the observation that shows that the fault is over."""
        self.is_healed = True
        self._record(EntryKind.HEALED, {"what": what}, None)


class History:
    """The history of one test.

    Args:
        header: what it is of: `test`, `seed`, …
        file: where the entries are written as they come; None keeps them in memory only.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        header: Mapping[str, object] | None = None,
        *,
        file: Callable[[Mapping[str, Any]], HistoryFile] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._next_id = 1
        self.began = clock()
        self.header: dict[str, Any] = {"began": datetime.now(UTC).isoformat(), **plain(header or {})}
        self._file = file(self.header) if file else None

    @contextmanager
    def operation(
        self, name: str, *, client: str | None = None, args: Mapping[str, object] | None = None
    ) -> Iterator[OpenOperation]:
        """Records an operation from its invocation to its completion.

        An exception that leaves the block closes it as `info`: it may or may not have taken effect.

        Args:
            client: who does it; the thread's name if None, `test` in the main thread. Operations of one client must not
                overlap.
        """
        process = client or _this_thread()
        id_ = self._begin(EntryKind.INVOKE, {"process": process, "name": name, "args": plain(args or {})})
        operation = OpenOperation(
            lambda outcome, result: self._write(EntryKind(outcome.value), id_, {"result": plain(result)})
        )
        try:
            yield operation
        except BaseException as error:
            operation.info(error)
            raise
        operation.ok()

    @contextmanager
    def fault(
        self,
        kind: str,
        target: str,
        *,
        explains: Iterable[Explanation] = (),
        required: bool = True,
        **facts: object,
    ) -> Iterator[OpenFault]:
        """Records a fault from before it is injected until after it has healed.

        The block injects, calls `evidence`, yields to the test, heals and calls `healed`.

        Args:
            explains: which exits and error log lines it accounts for.
            required: whether the test proves nothing without evidence.

        Raises:
            FaultNotObserved: it was required and left no evidence.
            FaultNotHealed: nobody recorded that it healed.
        """
        begun = {"kind": kind, "target": target, "required": required, "facts": plain(facts)}
        id_ = self._begin(EntryKind.FAULT, {**begun, "explains": [asdict(one) for one in explains]})
        fault = OpenFault(lambda kind, data, at: self._write(kind, id_, data, at), self.began)
        try:
            yield fault
        finally:
            self._write(EntryKind.ENDED, id_, {})
        if required and not fault.observed:
            raise FaultNotObserved(f"{kind} of {target!r} left no evidence that it took effect")
        if not fault.is_healed:
            raise FaultNotHealed(f"{kind} of {target!r} ended without a sign that it healed")

    def note(self, text: str, *, client: str | None = None, **facts: object) -> None:
        """Records a remark or a read-out with its data."""
        process = client or _this_thread()
        self._write(EntryKind.NOTE, 0, {"text": text, "process": process, "facts": plain(facts)})

    def crossed(self, events: Iterable[WireEvent]) -> None:
        """Records what crossed links; what was over before the history began is left out.

        Args:
            events: in any order, their times by the monotonic clock of this machine, as wires tell them. One that was
                told without its reply may be told again.
        """
        with self._lock:
            for event in events:
                if (event.replied_at or event.requested_at) >= self.began:
                    told = plain(event.since(self.began))
                    del told["requested_at"]
                    self._append(EntryKind.WIRE, 0, told, event.requested_at)

    def recording(self) -> Recording:
        """All that has been recorded so far."""
        with self._lock:
            entries = list(self._entries)
        return fold(dict(self.header), entries)

    def close(self) -> None:
        """Closes the file. What is still recorded afterwards stays in memory."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None

    def _begin(self, kind: EntryKind, data: dict[str, Any]) -> int:
        with self._lock:
            id_ = self._next_id
            self._next_id += 1
            self._append(kind, id_, data)
        return id_

    def _write(self, kind: EntryKind, id_: int, data: dict[str, Any], at: float | None = None) -> None:
        with self._lock:
            self._append(kind, id_, data, at)

    def _append(self, kind: EntryKind, id_: int, data: dict[str, Any], at: float | None = None) -> None:
        entry = Entry(kind, (self._clock() if at is None else at) - self.began, id_, data)
        self._entries.append(entry)
        if self._file:
            self._file.write(entry)


def _this_thread() -> str:
    thread = threading.current_thread()
    return "test" if thread is threading.main_thread() else thread.name
