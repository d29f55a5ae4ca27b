"""The platform's migration, as a process of this machine."""

from __future__ import annotations

from uuid import uuid4

from airproof.environment.topology import CellDescription, Endpoint, Role
from airproof.platform.driver import Migration
from airproof.providers.native.readiness import last_lines
from airproof.supervision import ProcessSpec, Supervisor

TIMEOUT_S, LAST_WORDS = 120.0, 300


def migration_spec(
    name: str, group: str, migration: Migration, server: Endpoint, user: str, platform_environment: dict[str, str]
) -> ProcessSpec:
    """What brings the databases of that server up to date."""
    template = f"postgresql://{user}@{server}/{{database}}"
    environment = {**platform_environment, "DATABASE_URL_TEMPLATE": template}
    return ProcessSpec(name=name, group=group, argv=migration.argv, environment=environment)


class NativeMigration:
    """The migration on the databases of one cell; implements `MigrationControl`."""

    def __init__(
        self, supervisor: Supervisor, cell: CellDescription, migration: Migration, platform_environment: dict[str, str]
    ) -> None:
        self._supervisor = supervisor
        self._cell = cell
        self._migration = migration
        self._environment = platform_environment

    def run(self, times: int) -> list[str]:
        """Runs it so often at the same time; says what became of those that have not ended well."""
        server, user = self._cell.node(Role.POSTGRES_PRIMARY.value).endpoint, self._cell.database_user
        names = [f"{self._cell.name}/migration-{uuid4().hex[:8]}" for _ in range(times)]
        for name in names:
            spec = migration_spec(name, self._cell.name, self._migration, server, user, self._environment)
            self._supervisor.spawn(spec)
        ends = {name: self._supervisor.wait_exit(name, TIMEOUT_S).exit_code for name in names}
        return [f"status {code}: …{self._last_words(name)}" for name, code in ends.items() if code]

    def _last_words(self, name: str) -> str:
        return " ".join(last_lines(self._supervisor, name).split())[-LAST_WORDS:]
