"""The platform's migration, as a process of this machine."""

from __future__ import annotations

from uuid import uuid4

from airproof.environment.topology import CellDescription, Endpoint, Role
from airproof.platform.driver import Migration
from airproof.providers.native.description import ZYGOTE
from airproof.providers.native.readiness import last_lines
from airproof.supervision import ForkSpec, ProcessSpec, Supervisor

TIMEOUT_S, LAST_WORDS = 120.0, 300


def migration_spec(
    name: str, group: str, migration: Migration, server: Endpoint, user: str, platform_environment: dict[str, str]
) -> ProcessSpec:
    """What brings the databases of that server up to date."""
    return ProcessSpec(name, group, migration.argv, _environment(server, user, platform_environment))


class NativeMigration:
    """The migration on the databases of one cell; implements `MigrationControl`.

    It is forked where the driver says how: imports would take most of its time.
    """

    def __init__(
        self, supervisor: Supervisor, cell: CellDescription, migration: Migration, platform_environment: dict[str, str]
    ) -> None:
        self._supervisor = supervisor
        self._cell = cell
        self._migration = migration
        self._platform_environment = platform_environment

    def run(self, times: int) -> list[str]:
        """Runs it so often at the same time; says what became of those that have not ended well."""
        names = [f"{self._cell.name}/migration-{uuid4().hex[:8]}" for _ in range(times)]
        for name in names:
            self._start(name)
        ends = {name: self._supervisor.wait_exit(name, TIMEOUT_S).exit_code for name in names}
        return [f"status {code}: …{self._last_words(name)}" for name, code in ends.items() if code]

    def _start(self, name: str) -> None:
        group, migration, platform = self._cell.name, self._migration, self._platform_environment
        server, user = self._cell.node(Role.POSTGRES_PRIMARY.value).endpoint, self._cell.database_user
        if migration.entry:
            environment = _environment(server, user, platform)
            self._supervisor.fork(ForkSpec(name, group, ZYGOTE, migration.entry, environment))
        else:
            self._supervisor.spawn(migration_spec(name, group, migration, server, user, platform))

    def _last_words(self, name: str) -> str:
        return " ".join(last_lines(self._supervisor, name).split())[-LAST_WORDS:]


def _environment(server: Endpoint, user: str, platform_environment: dict[str, str]) -> dict[str, str]:
    return {**platform_environment, "DATABASE_URL_TEMPLATE": f"postgresql://{user}@{server}/{{database}}"}
