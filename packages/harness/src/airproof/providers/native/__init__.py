"""The native provider: every node of an environment is a process of this machine, owned by one supervisor.

Works on Linux as root and as an ordinary user; needs nothing but Python packages where the machine has no PostgreSQL,
Redis, Kafka or Java of its own.
"""

from __future__ import annotations

from airproof.environment.model import Environment
from airproof.platform.driver import Driver
from airproof.providers.protocol import Finding, Progress, Provision


class NativeProvider:
    """Processes of this machine; registered as `native`."""

    name = "native"

    def check(self, environment: Environment, driver: Driver) -> list[Finding]:
        """What the environment needs and whether this machine has it. Changes nothing."""
        from airproof.providers.native.findings import find_all

        return find_all(environment, driver)

    def open(self, environment: Environment, driver: Driver, *, keep: bool = False, progress: Progress) -> Provision:
        """Brings the environment up, or attaches to a kept one that is still the same."""
        from airproof.providers.native.opening import open_environment

        return open_environment(environment, driver, keep=keep, progress=progress)

    def attach(self, environment: Environment, driver: Driver) -> Provision | None:
        """The kept environment, if it is up."""
        from airproof.providers.native.opening import attach_environment
        from airproof.providers.native.together import Silence

        return attach_environment(environment, driver, Silence())

    def join(self, environment: Environment, driver: Driver, handle: str) -> Provision:
        """The same environment in another process of the run."""
        from airproof.providers.native.opening import join_environment
        from airproof.providers.native.together import Silence

        return join_environment(environment, driver, handle, Silence())
