"""Groups: what lives and dies together. Leases, ports, directories, undo commands and the order of their removal."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airproof.errors import AirproofError, ProviderUnavailable, UsageError, WaitTimeout
from airproof.supervision.launching import launch_program
from airproof.supervision.ports import PortRegister
from airproof.supervision.processes import ProcessTable
from airproof.supervision.reaper import Reaper
from airproof.supervision.runs import Run, ports_directory, secure_directory
from airproof.supervision.specs import JSON
from airproof.supervision.sweeping import UNDO_TIMEOUT_S, remove_trees, write_undo

_DEATH_TIMEOUT_S = 4.0
_DELETION_TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(slots=True, eq=False)
class Group:
    """One group.

    Attributes:
        holder: the client that has leased it.
        offered: released before, so it may be claimed.
        vital: the run ends with its holder.
    """

    name: str
    holder: object | None = None
    offered: bool = False
    vital: bool = False
    ports: list[int] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    undo: list[dict[str, JSON]] = field(default_factory=list)
    removal: asyncio.Task[list[str]] | None = None


class Groups:
    """All groups of a run."""

    def __init__(self, run: Run, processes: ProcessTable, reaper: Reaper) -> None:
        self._run = run
        self._processes = processes
        self._reaper = reaper
        self._groups: dict[str, Group] = {}
        self._ports = PortRegister(ports_directory(run.directory.parent.parent))
        self._commands = 0
        self._closing = False

    def use(self, name: str) -> Group:
        """The group of that name, made if need be.

        Raises:
            UsageError: the name is no file name, or the group is being removed.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of a group: use letters, digits, '.', '_' and '-'")
        if self._closing:
            raise UsageError(f"group {name!r} cannot be used: the supervisor is stopping")
        group = self._groups.setdefault(name, Group(name))
        if group.removal:
            raise UsageError(f"group {name!r} is being removed")
        return group

    def use_for(self, process: str, group: str) -> Group:
        """The group of a new process, whose name is checked."""
        prefix, _, node = process.partition("/")
        if prefix != group or not _NAME.fullmatch(node):
            raise UsageError(f"{process!r} cannot be the name of a process: use '{group}/<node>'")
        return self.use(group)

    def listed(self) -> list[Group]:
        """All groups that are not being removed."""
        return [group for group in self._groups.values() if not group.removal]

    def take_ports(self, name: str, count: int) -> list[int]:
        """Takes ports for the group."""
        group = self.use(name)
        ports = self._ports.take(count)
        group.ports.extend(ports)
        return ports

    def make_directory(self, name: str, directory: str, room_mb: int) -> Path:
        """Makes a directory for the group, in memory if there is room, else on disk."""
        group = self.use(name)
        if not _NAME.fullmatch(directory):
            raise UsageError(f"{directory!r} cannot be the name of a directory")
        path = self._choose_root(room_mb) / name / directory
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise ProviderUnavailable(f"cannot make {path}: {error.strerror}") from error
        group.directories.append(path)
        return path

    def add_undo(self, name: str, argv: Sequence[str], needs: str) -> None:
        """Registers an undo command; it is on disk before this returns."""
        self.use(name).undo.append({"group": name, "argv": list(argv), "needs": needs})
        self._save_undo()

    def lease(self, name: str, client: object, *, vital: bool) -> None:
        """Gives the group to a client."""
        group = self.use(name)
        if group.holder not in {None, client}:
            raise UsageError(f"group {name!r} is leased by another client")
        group.holder, group.vital = client, vital

    def release(self, name: str) -> None:
        """Takes the group from its client and offers it to others."""
        group = self.use(name)
        group.holder, group.offered, group.vital = None, True, False

    def claim(self, prefix: str, client: object) -> str | None:
        """Gives an offered group to a client."""
        for group in self.listed():
            if group.offered and not group.holder and group.name.startswith(prefix):
                group.holder = client
                return group.name
        return None

    def held_by(self, client: object) -> list[Group]:
        """The groups a client has leased."""
        return [group for group in self.listed() if group.holder is client]

    async def remove_all(self) -> list[str]:
        """Removes every group at once and refuses new ones; returns what failed."""
        self._closing = True
        names = list(self._groups)
        failures: list[str] = []
        for result in await asyncio.gather(*map(self.remove, names), return_exceptions=True):
            failures += [f"{type(result).__name__}: {result}"] if isinstance(result, BaseException) else result
        return failures

    async def remove(self, name: str) -> list[str]:
        """Removes a group; returns what failed. A second caller waits for the same removal."""
        group = self._groups.get(name)
        if group is None:
            return []
        if not group.removal:
            group.removal = asyncio.get_running_loop().create_task(self._remove(group))
        return await asyncio.shield(group.removal)

    async def _remove(self, group: Group) -> list[str]:
        failures = await self._end_processes(group)
        while group.undo:
            command = group.undo[-1]
            needed = self._groups.get(command["needs"])
            if not command["needs"] or (needed and not needed.removal and not self._closing):
                failures += await self._run_command(command["argv"], UNDO_TIMEOUT_S)
            group.undo.pop()
        failures += await self._delete(group.directories)
        try:
            self._save_undo()
        except OSError as error:
            failures.append(f"cannot write {self._run.undo_file}: {error.strerror}")
        self._ports.free(group.ports)
        self._processes.forget(group.name)
        del self._groups[group.name]
        return failures

    async def _end_processes(self, group: Group) -> list[str]:
        if under_way := self._processes.forks_under_way(group.name):
            await asyncio.wait(under_way, timeout=_DEATH_TIMEOUT_S)
        living = [owned for owned in self._processes.of_group(group.name) if owned.lives]
        for owned in living:
            self._processes.signal(owned, signal.SIGKILL)
        failures = []
        for owned in living:
            try:
                await self._processes.wait_exit(owned, _DEATH_TIMEOUT_S)
            except WaitTimeout as error:
                failures.append(str(error))
        return failures

    async def _delete(self, directories: list[Path]) -> list[str]:
        """Deletes directories beside other work; where even that needs space, at once."""
        command = ["rm", "-rf", "--", *map(str, directories)]
        if not directories or not await self._run_command(command, _DELETION_TIMEOUT_S):
            return []
        return remove_trees(*directories)

    async def _run_command(self, argv: list[str], timeout_s: float) -> list[str]:
        """Runs a command to its end; returns what went wrong."""
        self._commands += 1
        name = f".commands/{self._commands}"
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            pid = launch_program(self._run, name, argv, environment=dict(os.environ))
            self._reaper.watch(pid, done.set_result)
            code = await asyncio.wait_for(asyncio.shield(done), timeout_s)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            return [f"command {argv} had not ended after {timeout_s:g} s. {self._run.log_tail(name)}"]
        except AirproofError as error:
            return [str(error)]
        return [f"command {argv} failed with {code}. {self._run.log_tail(name)}"] if code else []

    def _save_undo(self) -> None:
        write_undo(self._run, [command for group in self._groups.values() for command in group.undo])

    def _choose_root(self, room_mb: int) -> Path:
        lacking = []
        for root in self._run.roots:
            parent = secure_directory(root.parent)
            free_mb = shutil.disk_usage(parent).free >> 20
            if free_mb >= room_mb:
                return secure_directory(root)
            lacking.append(f"{free_mb} in {parent}")
        raise ProviderUnavailable(
            f"no space for {room_mb} MB of data: free are {' and '.join(lacking)}; "
            "free some, or set AIRPROOF_RUNTIME_DIR to another disk"
        )
