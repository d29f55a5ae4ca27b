"""The client of a supervisor: synchronous and safe to use from several threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from airproof.environment.capabilities import ProcessState, ProcessStatus
from airproof.errors import NotReady, SupervisorGone
from airproof.supervision.connection import Connection
from airproof.supervision.runs import Run, find_kept
from airproof.supervision.specs import JSON, ForkSpec, GroupInfo, ProcessEvent, ProcessSpec
from airproof.supervision.starting import Launched, launch_supervisor
from airproof.supervision.sweeping import SweepReport, sweep
from airproof.waiting import wait_until


class Supervisor:
    """One connection to the supervisor of a run. When it closes, the groups leased over it are removed.

    Names of processes are `<group>/<node>`, also in `ProcessState.node`. A group comes into being with its first use.
    Any method raises `SupervisorGone` when the supervisor does not answer any more, `UsageError` for an unknown name.

    Attributes:
        run_directory: holds logs and the socket; removed when the supervisor stops.
        swept: what dead supervisors had left and `start` cleaned up.
    """

    def __init__(self, run: Run, connection: Connection, launched: Launched | None = None) -> None:
        self.run_directory = run.directory
        self.swept = SweepReport()
        self._connection = connection
        self._launched = launched

    @classmethod
    def start(cls, *, label: str, keep: bool = False) -> Supervisor:
        """Cleans up after dead supervisors, then starts one and connects to it.

        It returns before the new process has come up: requests wait in its socket until then.

        Args:
            label: what the run is called, to be found again with `find`.
            keep: the supervisor outlives this process, until `stop`. Otherwise it cleans up and ends with this process.

        Raises:
            ProviderUnavailable: the directory for runs cannot be used; the message says why.
        """
        swept = sweep()
        launched = launch_supervisor(label=label, keep=keep)
        supervisor = cls(launched.run, Connection.open(launched.run), launched)
        supervisor.swept = swept
        return supervisor

    @property
    def process_id(self) -> int:
        """Its own process id, for who has started it.

        Raises:
            RuntimeError: it was started by another process.
        """
        if self._launched is None:
            raise RuntimeError("only who starts a supervisor knows its process id")
        return self._launched.process.pid

    @classmethod
    def attach(cls, run_directory: Path) -> Supervisor:
        """Connects to the supervisor of that run, as an xdist worker does.

        Raises:
            SupervisorGone: nobody answers there.
        """
        run = Run.read(run_directory)
        return cls(run, Connection.open(run))

    @classmethod
    def find(cls, label: str) -> Supervisor | None:
        """Connects to the kept supervisor of that label, if there is one."""
        run = find_kept(label)
        if run is None:
            return None
        try:
            return cls(run, Connection.open(run))
        except SupervisorGone:
            # It was dead, and what it has left is just being removed by somebody.
            return None

    def spawn(self, spec: ProcessSpec) -> ProcessState:
        """Starts a program and returns when it has been executed.

        Raises:
            ProviderUnavailable: the program or its directory does not exist or cannot be executed.
        """
        return _state(self._connection.call("spawn", spec=asdict(spec)))

    def spawn_zygote(self, name: str, group: str, preload: Sequence[str], environment: dict[str, str]) -> None:
        """Starts a process that imports modules, for others to be forked from. Does not wait for the imports."""
        self._connection.call(
            "spawn_zygote", name=name, group=group, preload=list(preload), environment=dict(environment)
        )

    def fork(self, spec: ForkSpec) -> ProcessState:
        """Forks a process from a zygote, whose imports it waits for, and returns when it exists.

        Raises:
            NotReady: the zygote has exited; the message holds its last log lines.
        """
        return _state(self._connection.call("fork", spec=asdict(spec)))

    def restart(self, name: str, changes: Mapping[str, str | None] | None = None) -> ProcessState:
        """Starts an exited process as it was started before, with the next incarnation.

        Args:
            changes: values of its environment, and what stands in their places this once; None leaves them out.
        """
        return _state(self._connection.call("restart", name=name, changes=dict(changes or {})))

    def signal(self, name: str, signal: int) -> None:
        """Sends a signal; SIGKILL, SIGSTOP and SIGCONT to its descendants too. An exited process is left alone."""
        self._connection.call("signal", name=name, number=int(signal))

    def pid(self, name: str) -> int:
        """The process id, also of an exited process."""
        return int(self._connection.call("pid", name=name))

    def state(self, name: str) -> ProcessState:
        """What the process is doing now."""
        return _state(self._connection.call("state", name=name))

    def states(self, group: str | None = None) -> list[ProcessState]:
        """The processes of the group, or of the run, in the order of their first start."""
        return [_state(state) for state in self._connection.call("states", group=group)]

    def wait_exit(self, name: str, timeout_s: float) -> ProcessState:
        """Waits for the process and all it has started to be gone.

        Raises:
            WaitTimeout: it is still there after `timeout_s`; the message holds its last log lines.
        """
        return _state(self._connection.call("wait_exit", name=name, timeout_s=timeout_s))

    def wait_state(self, name: str, status: ProcessStatus, timeout_s: float) -> ProcessState:
        """Waits until the process is in that state, as the kernel shows it.

        Raises:
            WaitTimeout: it is not after `timeout_s`.
            NotReady: it has exited, so it never will be.
        """
        if status is ProcessStatus.EXITED:
            return self.wait_exit(name, timeout_s)

        def reached() -> ProcessState | None:
            state = self.state(name)
            if state.status is ProcessStatus.EXITED:
                raise NotReady(f"{name} exited with {state.exit_code} instead of becoming {status}")
            return state if state.status is status else None

        return wait_until(reached, timeout_s=timeout_s, describe=f"{name} to be {status}") or self.state(name)

    def events(self, after: int = 0) -> list[ProcessEvent]:
        """The exits with a sequence greater than `after`, in order; those of removed groups too."""
        return [ProcessEvent(**event) for event in self._connection.call("events", after=after)]

    def take_ports(self, group: str, count: int) -> list[int]:
        """Free TCP ports outside the ephemeral range; no other run of this user takes them while the group is there."""
        return [int(port) for port in self._connection.call("take_ports", group=group, count=count)]

    def make_directory(self, group: str, name: str, *, room_mb: int = 256) -> Path:
        """A new directory, in memory where `room_mb` are free there; removed with the group."""
        return Path(self._connection.call("make_directory", group=group, name=name, room_mb=room_mb))

    def log_path(self, name: str) -> Path:
        """Where output and errors of the process go, appended over restarts; kept until the supervisor stops."""
        return Run.log_path_in(self.run_directory, name)

    def on_release(self, group: str, argv: Sequence[str], *, needs: str = "") -> None:
        """Has a command run when the group is removed, after its processes are gone; the last one registered first.

        Args:
            needs: a group without which the command is pointless: it is skipped when that one is gone or goes too.
        """
        self._connection.call("on_release", group=group, argv=list(argv), needs=needs)

    def lease(self, group: str, *, vital: bool = False) -> None:
        """Binds a group to this connection: when it closes without `release`, the group is removed.

        Args:
            vital: the supervisor ends then, even a kept one.

        Raises:
            UsageError: another connection has leased it.
        """
        self._connection.call("lease", group=group, vital=vital)

    def release(self, group: str) -> None:
        """Ends the lease; the group stays and belongs to nobody."""
        self._connection.call("release", group=group)

    def claim(self, prefix: str) -> str | None:
        """Leases any released group whose name starts so, and returns its name."""
        name = self._connection.call("claim", prefix=prefix)
        return None if name is None else str(name)

    def groups(self) -> list[GroupInfo]:
        """All groups, oldest first."""
        return [GroupInfo(**group) for group in self._connection.call("groups")]

    def remove(self, group: str) -> None:
        """Kills what the group has, runs its undo commands, deletes its directories and frees its ports.

        Raises:
            CleanUpError: something could not be undone; the rest was.
        """
        self._connection.call("remove", group=group)

    def put(self, key: str, value: JSON) -> None:
        """Publishes a fact to all clients of the run."""
        self._connection.call("put", key=key, value=value)

    def get(self, key: str, timeout_s: float = 0) -> JSON:
        """A fact. If it is not there: None at once when `timeout_s` is 0, else it is waited for.

        Raises:
            WaitTimeout: not there after `timeout_s`.
        """
        return self._connection.call("get", key=key, timeout_s=timeout_s)

    def stop(self) -> None:
        """Removes everything and ends the supervisor; returns when it has exited.

        Raises:
            CleanUpError: something could not be undone; the rest was.
        """
        try:
            self._connection.call("stop")
        finally:
            self._connection.wait_closed()
            if self._launched:
                self._launched.reap()

    def close(self) -> None:
        """Closes this connection. A supervisor that was started here without `keep` cleans up and ends."""
        self._connection.close()
        if self._launched:
            self._launched.let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _state(data: dict[str, JSON]) -> ProcessState:
    return ProcessState(**{**data, "status": ProcessStatus(data["status"])})
