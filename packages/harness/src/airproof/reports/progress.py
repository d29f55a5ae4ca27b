"""Shows what is starting and how long it took: living lines on a terminal, one line per finished step elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text


@dataclass(slots=True)
class Step:
    """A piece of work.

    Attributes:
        depth: how many steps of the same thread surround it.
    """

    what: str
    depth: int
    began: float
    took_s: float | None = None
    failed: bool = False
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))


class TerminalProgress:
    """Collects steps from any thread. Nothing is printed before `show` is entered, and nothing after it is left.

    So steps may run in the background while somebody else owns the terminal.
    """

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._lock = threading.Lock()
        self._local = threading.local()
        self._steps: list[Step] = []
        self._printed = 0
        self._live: Live | None = None
        self._plain = False

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """A piece of work that takes time; it ends, well or not, with the context."""
        depth = getattr(self._local, "depth", 0)
        step = Step(what, depth, self._clock())
        self._local.depth = depth + 1
        with self._lock:
            self._steps.append(step)
        try:
            yield
        except BaseException:
            step.failed = True
            raise
        finally:
            self._local.depth = depth
            step.took_s = self._clock() - step.began
            self._print_finished(step)

    @contextmanager
    def show(self) -> Iterator[None]:
        """Shows the steps until the context ends, those begun before it too."""
        if not self.console.is_terminal:
            with self._lock:
                self._plain = True
                finished = [step for step in self._steps if step.took_s is not None]
            for step in finished:
                self.console.print(_line(step), soft_wrap=True)
            try:
                yield
            finally:
                self._plain = False
            return
        with Live(console=self.console, get_renderable=self._render, refresh_per_second=12, transient=False):
            yield

    @property
    def steps(self) -> list[Step]:
        """All steps so far, in the order they began."""
        with self._lock:
            return list(self._steps)

    def _print_finished(self, step: Step) -> None:
        with self._lock:
            plain = self._plain
        if plain:
            self.console.print(_line(step), soft_wrap=True)

    def _render(self) -> RenderableType:
        now = self._clock()
        return Group(*(_living(step, now) for step in self.steps))


def _line(step: Step) -> Text:
    """A finished step: what and how long."""
    mark, colour = ("✗", "red") if step.failed else ("✓", "green")
    return Text.assemble("  " * (step.depth + 1), (mark, colour), f" {step.what}  ", (f"{step.took_s:.2f} s", "dim"))


def _living(step: Step, now: float) -> RenderableType:
    if step.took_s is not None:
        return _line(step)
    step.spinner.update(text=Text.assemble(step.what, "  ", (f"{now - step.began:.1f} s", "dim")))
    return Padding(step.spinner, (0, 0, 0, 2 * (step.depth + 1)))
