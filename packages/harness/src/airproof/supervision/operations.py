"""What clients may ask for: one method per call, with JSON in and out. `Supervisor` documents them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from airproof.errors import AirproofError, CleanUpError, UsageError
from airproof.supervision.facts import Facts
from airproof.supervision.groups import Groups
from airproof.supervision.processes import ProcessTable
from airproof.supervision.specs import JSON, ForkSpec, GroupInfo, ProcessSpec, ZygoteSpec


class Operations:
    """The calls of one client."""

    def __init__(
        self,
        client: object,
        processes: ProcessTable,
        groups: Groups,
        facts: Facts,
        shut_down: Callable[[], Awaitable[list[str]]],
    ) -> None:
        self._client = client
        self._processes = processes
        self._groups = groups
        self._facts = facts
        self._shut_down = shut_down

    async def answer(self, call: str, arguments: dict[str, JSON]) -> JSON:
        """Does what was asked for."""
        method = None if call.startswith("_") or call == "answer" else getattr(self, call, None)
        if method is None:
            raise UsageError(f"the supervisor knows no call {call!r}; it was started by another version: stop it")
        result = method(**arguments)
        return await result if isinstance(result, Awaitable) else result

    def spawn(self, spec: dict[str, JSON]) -> JSON:
        made = ProcessSpec(**{**spec, "argv": tuple(spec["argv"])})
        self._groups.use_for(made.name, made.group)
        return self._processes.state(self._processes.spawn(made))

    def spawn_zygote(self, name: str, group: str, preload: list[str], environment: dict[str, str]) -> None:
        self._groups.use_for(name, group)
        self._processes.spawn_zygote(ZygoteSpec(name, group, tuple(preload), environment))

    async def fork(self, spec: dict[str, JSON]) -> JSON:
        made = ForkSpec(**spec)
        self._groups.use_for(made.name, made.group)
        return self._processes.state(await self._processes.fork(made, lambda: self._groups.use(made.group)))

    async def restart(self, name: str, changes: dict[str, str | None]) -> JSON:
        group = self._processes.get(name).spec.group
        self._groups.use(group)
        return self._processes.state(await self._processes.restart(name, changes, lambda: self._groups.use(group)))

    def signal(self, name: str, number: int) -> None:
        self._processes.signal(self._processes.get(name), number)

    def pid(self, name: str) -> int:
        return self._processes.get(name).pid

    def state(self, name: str) -> JSON:
        return self._processes.state(self._processes.get(name))

    def states(self, group: str | None) -> JSON:
        return [self._processes.state(owned) for owned in self._processes.of_group(group)]

    async def wait_exit(self, name: str, timeout_s: float) -> JSON:
        owned = self._processes.get(name)
        await self._processes.wait_exit(owned, timeout_s)
        return self._processes.state(owned)

    def events(self, after: int) -> JSON:
        return self._processes.events(after)

    def take_ports(self, group: str, count: int) -> JSON:
        return self._groups.take_ports(group, count)

    def make_directory(self, group: str, name: str, room_mb: int) -> JSON:
        return str(self._groups.make_directory(group, name, room_mb))

    def on_release(self, group: str, argv: list[str], needs: str) -> None:
        self._groups.add_undo(group, argv, needs)

    def lease(self, group: str, vital: bool) -> None:
        self._groups.lease(group, self._client, vital=vital)

    def release(self, group: str) -> None:
        self._groups.release(group)

    def claim(self, prefix: str) -> JSON:
        return self._groups.claim(prefix, self._client)

    def groups(self) -> JSON:
        return [asdict(GroupInfo(group.name, leased=group.holder is not None)) for group in self._groups.listed()]

    async def remove(self, group: str) -> None:
        _raise_failures(f"removing group {group!r}", await self._groups.remove(group))

    async def put(self, key: str, value: JSON) -> None:
        await self._facts.put(key, value)

    async def get(self, key: str, timeout_s: float) -> JSON:
        return await self._facts.get(key, timeout_s)

    async def stop(self) -> None:
        _raise_failures("stopping the supervisor", await self._shut_down())


def _raise_failures(what: str, failures: list[str]) -> None:
    if failures:
        raise CleanUpError(what, [AirproofError(failure) for failure in failures])
