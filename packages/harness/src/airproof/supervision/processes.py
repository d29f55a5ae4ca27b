"""The processes of a run: how each was started, what it is doing, how it ended."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

from airproof.environment.capabilities import ProcessStatus
from airproof.errors import UsageError, WaitTimeout
from airproof.supervision.kernel import is_stopped, kill, process_tree, send_signal
from airproof.supervision.launching import launch_program, without_privileges
from airproof.supervision.reaper import Reaper
from airproof.supervision.runs import Run
from airproof.supervision.specs import JSON, ForkSpec, ProcessEvent, ProcessSpec, ZygoteSpec
from airproof.supervision.zygotes import ZygoteLink

Spec = ProcessSpec | ForkSpec | ZygoteSpec
_HARMLESS = {signal.SIGSTOP, signal.SIGCONT}


@dataclass(slots=True, eq=False)
class Owned:
    """A process by name, over all its incarnations."""

    spec: Spec
    incarnation: int = 0
    pid: int = 0
    exit_code: int | None = None
    requested: bool = False
    exited: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lives(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.pid != 0 and not self.exited.is_set()


class ProcessTable:
    """Starts processes, signals them and records their exits."""

    def __init__(self, run: Run, reaper: Reaper) -> None:
        self._run = run
        self._reaper = reaper
        self._owned: dict[str, Owned] = {}
        self._zygotes: dict[str, ZygoteLink] = {}
        self._events: list[ProcessEvent] = []

    def get(self, name: str) -> Owned:
        """The process of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self._owned:
            raise UsageError(f"no process {name!r} in this run; there are {sorted(self._owned) or 'none'}")
        return self._owned[name]

    def of_group(self, group: str | None) -> list[Owned]:
        """The processes of a group, or all."""
        return [owned for owned in self._owned.values() if group in {None, owned.spec.group}]

    def forget(self, group: str) -> None:
        """Removes the names of a group whose processes are gone."""
        for owned in self.of_group(group):
            del self._owned[owned.spec.name]
            self._zygotes.pop(owned.spec.name, None)

    def events(self, after: int) -> list[dict[str, JSON]]:
        """The exits after that sequence number."""
        return [asdict(event) for event in self._events[after:]]

    def spawn(self, spec: ProcessSpec) -> Owned:
        """Starts a program."""
        self._refuse_living(spec.name)
        become = without_privileges(self._run, spec.directory) if spec.unprivileged else None
        pid = launch_program(
            self._run, spec.name, spec.argv, environment=spec.environment, directory=spec.directory, become=become
        )
        return self._started(spec, pid)

    def spawn_zygote(self, spec: ZygoteSpec) -> Owned:
        """Starts a zygote."""
        self._refuse_living(spec.name)
        self._zygotes[spec.name] = link = ZygoteLink(self._run, spec, self._reaper)
        return self._started(spec, link.pid)

    async def fork(self, spec: ForkSpec, check: Callable[[], object]) -> Owned:
        """Forks a process from its zygote, when that is ready; `check` may still refuse it then."""

        def check_all() -> None:
            check()
            self._refuse_living(spec.name)

        self._refuse_living(spec.name)
        if spec.zygote not in self._zygotes:
            raise UsageError(f"no zygote {spec.zygote!r} in this run; there are {sorted(self._zygotes) or 'none'}")
        link = self._zygotes[spec.zygote]
        await link.fork(spec, check_all, lambda pid: self._started(spec, pid))
        return self.get(spec.name)

    def forks_under_way(self, group: str) -> list[asyncio.Future[None]]:
        """Forks whose processes are not known yet."""
        return [done for zygote in self._zygotes.values() for done in zygote.forks_under_way(group)]

    async def restart(self, name: str, changes: Mapping[str, str | None], check: Callable[[], object]) -> Owned:
        """Starts a process again as it was started before, but for the `changes` this once; `check` as in `fork`."""
        spec = self.get(name).spec
        changed = replace(spec, environment=_changed(spec.environment, changes))
        if isinstance(changed, ForkSpec):
            owned = await self.fork(changed, check)
        else:
            owned = self.spawn(changed) if isinstance(changed, ProcessSpec) else self.spawn_zygote(changed)
        owned.spec = spec
        return owned

    def signal(self, owned: Owned, number: int) -> None:
        """Sends a signal; see `Supervisor.signal`."""
        if not owned.lives:
            return
        if number not in _HARMLESS:
            owned.requested = True
        if number in _HARMLESS:
            _signal_tree(owned.pid, number)
        elif number == signal.SIGKILL:
            # The reaper ends what this leaves of the descendants.
            kill(owned.pid)
        else:
            send_signal(owned.pid, number)

    async def wait_exit(self, owned: Owned, timeout_s: float) -> None:
        """Waits for the end of a process.

        Raises:
            WaitTimeout: it lives on.
        """
        try:
            await asyncio.wait_for(owned.exited.wait(), timeout_s)
        except TimeoutError:
            name = owned.spec.name
            raise WaitTimeout(
                f"waited {timeout_s:g} s for the exit of {name} (pid {owned.pid}). {self._run.log_tail(name)}",
                last=str(self.state(owned)["status"]),
                timeout_s=timeout_s,
            ) from None

    def state(self, owned: Owned) -> dict[str, JSON]:
        """The fields of a `ProcessState`. Suspended means: it and all its descendants are."""
        status = ProcessStatus.EXITED
        if owned.lives:
            status = ProcessStatus.SUSPENDED if is_stopped(owned.pid) else ProcessStatus.RUNNING
        return {
            "node": owned.spec.name,
            "status": status.value,
            "incarnation": owned.incarnation,
            "exit_code": owned.exit_code,
        }

    def _refuse_living(self, name: str) -> None:
        if name in self._owned and self._owned[name].lives:
            raise UsageError(f"{name} is running already (pid {self._owned[name].pid}); end it first")

    def _started(self, spec: Spec, pid: int) -> Owned:
        owned = self._owned.setdefault(spec.name, Owned(spec))
        owned.spec, owned.pid, owned.exit_code, owned.requested = spec, pid, None, False
        owned.incarnation += 1
        owned.exited = asyncio.Event()
        self._reaper.watch(pid, lambda code: self._ended(owned, code))
        return owned

    def _ended(self, owned: Owned, code: int) -> None:
        owned.exit_code = code
        spec = owned.spec
        self._events.append(
            ProcessEvent(
                sequence=len(self._events) + 1,
                name=spec.name,
                group=spec.group,
                incarnation=owned.incarnation,
                exit_code=code,
                requested=owned.requested,
                at=time.monotonic(),
            )
        )
        owned.exited.set()
        if isinstance(spec, ZygoteSpec):
            self._zygotes[spec.name].buried()


def _signal_tree(root: int, number: int) -> None:
    """Signals a process and its descendants, again for those that were forked meanwhile."""
    done: set[int] = set()
    while new := [pid for pid in process_tree(root) if pid not in done]:
        for pid in new:
            send_signal(pid, number)
        done.update(new)


def _changed(environment: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """With other values in the place of some, wherever those stand; what is None there is left out."""
    told = {name: changes.get(value, value) for name, value in environment.items()}
    return {name: value for name, value in told.items() if value is not None}
